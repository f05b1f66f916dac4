"""Floor 5: the queue over HTTP, WebSocket and server-sent events.

serve       the process: sockets, signals, draining, and the server itself
sockets     binding, and what to say when that fails
connection  one client's connection: what Hypercorn leaves unbounded, bounded
lane        plain requests of the calls that must be fast, past Hypercorn and Quart
plain       what a plain request is: its head, read strictly
app         the Quart application, made from the table of routes
guard       who may talk to this server: Host and Origin, and the headers of every answer
routes      the table: every path, what it takes and what it answers
openapi     the same table as a document
tasks       submitting, reading, changing tasks
streams     what a task generates, as it does
events      the live feed: WebSocket and server-sent events
flows       answers that go on: how their pieces are sent
ops         status, health, metrics, the first page
errors      every error as an answer, in one place
query       parameters after the question mark
answers     bodies in, bodies out
lean        requests without Quart: the gateway's, and those that are refused
metrics     what `/metrics` counts
face        what the handlers share
"""
