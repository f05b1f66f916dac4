"""Floor 0: the words that every other part of oq speaks. Nothing here does I/O.

task           a task, in each of its shapes          terms      what its user decides about it
answer         what has come of a task
new            new tasks, one constructor a type      which      the filter of tasks
steps          what the writer makes durable          outcome    how an attempt ended
stream         the chunks that readers receive        head       the head of a backend's answer
events         what subscribers receive               errors     every error, as one tree
messages       what actors send to each other         channels   how they send and receive it
receipts       tell who waits that it is on disk      sample     how a backend served a task
caller         who asks                               origins    of web pages
views          what status() and backends() return    bulk       what came of an action on many
stats          what happened lately                   timeline   what backends did lately
config         every setting; config_checks: what their types do not say
arguments      what callers hand over, checked        to_json    values as JSON
from_json      what decoders raise at JSON from outside
durations      as Go writes them                      clock      where the time comes from
"""
