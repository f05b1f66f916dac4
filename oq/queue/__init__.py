"""Floor 4: the queue.

wiring      the actors, and the channels between them
opening     open_queue(): the nursery, the store, and how all of it ends
admission   taking tasks in
core        the verbs as faces call them, with documents as JSON
reader      reading a task's stream
calls       calls of Ollama's and OpenAI's APIs as tasks
listener    following one for its caller
attendance  who waits for them
queue       the verbs as people call them
options     settings by keyword
"""

from oq.actors.subscription import Subscription
from oq.queue.admission import Accepted
from oq.queue.attendance import Presence
from oq.queue.calls import Calls, NewCall
from oq.queue.core import Core
from oq.queue.listener import Ended, Listener
from oq.queue.opening import open_queue
from oq.queue.queue import Queue
from oq.queue.reader import StreamReader

__all__ = [
    "Accepted",
    "Calls",
    "Core",
    "Ended",
    "Listener",
    "NewCall",
    "Presence",
    "Queue",
    "StreamReader",
    "Subscription",
    "open_queue",
]
