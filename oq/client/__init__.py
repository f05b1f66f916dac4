"""The clients of an oq server.

client          Client, for programs that block
aio             AsyncClient, for asyncio and trio
watch           events over WebSocket, for trio

What they decide, without I/O:
urls            what is asked for, as parts of a URL
requests        makes each request, and reads its response
submit_batcher  decides which submits share one request
waits           decides which waits to look at again
follow          follows streams and events, also when the connection is lost
retries         decides what is sent again, and when
timeouts        how long one answer is waited for
lines           puts bytes together to lines
failures        turns the server's errors into oq's own
address         finds out where the server is

How they do it:
submit_sender   sends what is submitted, in as few requests as possible
watcher         waits for tasks to end
aio_follow, sync_follow    read streams and events
handover        gives ended tasks to those who wait for them
task_groups     task groups that raise the error itself, not a group of errors
lifetime        how long an async client lives
"""

from oq.client.client import Client
from oq.words.new import NewTask, chat, embed, generate

__all__ = ["Client", "NewTask", "chat", "embed", "generate"]
