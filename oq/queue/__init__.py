"""Floor 5: the queue.

opening        open_queue(): starts the actors and the store, and stops them; salvage
recovery       puts back in line what ran when the process ended
wiring         the actors, and the channels between them; capacity: how many tasks each backend gets
admission      takes tasks in, up to the queue's limits; claims: idempotency keys
core           what is behind the verbs
raw            the verbs on behalf of one caller, with documents as JSON
queue          the verbs as a Python program calls them
documents      its tasks and results as documents, and back
bulk           one action on many tasks
listing        pages and counts of tasks
outlook        when waiting tasks start and end, in the words of users
output_reader  follows what a task generates, in one of three ways:
reader         reads a task's stream
call_reader    reads the answer to one call
frame_reader   reads a call that goes on without its caller
gateway_calls  runs drop-in calls as tasks
callers        cancels a call when all its callers have left
passages       passes on what is no task; model_lists: lists of models as one
catalogue      the models of the backends
options        settings by keyword
"""

from oq.actors.subscription import Subscription
from oq.queue.admission import Accepted
from oq.queue.call_reader import CallReader, Ended
from oq.queue.callers import WaitingCaller
from oq.queue.frame_reader import FrameReader
from oq.queue.gateway_calls import GatewayCalls, NewCall
from oq.queue.opening import open_queue, salvage
from oq.queue.passages import Passages
from oq.queue.queue import Queue
from oq.queue.raw import RawQueue
from oq.queue.reader import StreamReader
from oq.store.report import Finding, SalvageReport

__all__ = [
    "Accepted",
    "CallReader",
    "Ended",
    "Finding",
    "FrameReader",
    "GatewayCalls",
    "NewCall",
    "Passages",
    "Queue",
    "RawQueue",
    "SalvageReport",
    "StreamReader",
    "Subscription",
    "WaitingCaller",
    "open_queue",
    "salvage",
]
