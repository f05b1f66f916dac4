"""The way of what is being sent, see `oq.rules.via`: it belongs to a request as a whole, and all
that lies between the queue and the socket has nothing to do with it.
"""

from __future__ import annotations

from contextvars import ContextVar

way: ContextVar[str] = ContextVar("oq_way", default="")
"""Set by who sends a request, in the trio task that does."""
