"""The clients of an oq server.

client      Client, for programs that block        aio          AsyncClient, for asyncio and trio
watch       events over WebSocket, for trio

What they decide, without I/O:
calls       each call's request and answer         outbox       which submits go together in one
waits       which waits to look at again           follow       streams and events over many cuts
tries       what is tried again, and when          lines        bytes put together to lines
failures    the server's errors as oq's own        address      where the server is

How they do it:
mailer      sends what is submitted                watcher      waits for tasks to end
aio_follow, sync_follow    read what goes on       handover     ended tasks to those who asked
background  task groups whose errors are bare    lifetime      how long an async client lives
"""

from oq.client.client import Client
from oq.words.new import NewTask, chat, embed, generate

__all__ = ["Client", "NewTask", "chat", "embed", "generate"]
