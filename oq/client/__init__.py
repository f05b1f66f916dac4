"""The client of an oq server.

client     Client: one method a call             calls      each call's request and answer
address    where the server is                   failures   the server's errors as oq's own
"""

from oq.client.client import Client
from oq.words.new import NewTask, chat, embed, generate

__all__ = ["Client", "NewTask", "chat", "embed", "generate"]
