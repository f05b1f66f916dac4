"""The client of an oq server.

client     Client, for programs that block       aio        AsyncClient, for asyncio and trio
calls      each call's request and answer        outbox     which submits go together in one
tries      what is tried again, and when         mailer     sends them
address    where the server is                   failures   the server's errors as oq's own
"""

from oq.client.client import Client
from oq.words.new import NewTask, chat, embed, generate

__all__ = ["Client", "NewTask", "chat", "embed", "generate"]
