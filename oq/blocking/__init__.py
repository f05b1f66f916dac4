"""The queue for programs that block: it runs on a thread of its own.

queue       BlockingQueue: the verbs
loop        the thread, and how calls get to it and back
flow        events and chunks as plain iterators
exit_hooks  closes what is still open when the program ends
"""

from oq.blocking.queue import BlockingQueue

__all__ = ["BlockingQueue"]
