"""The outboxes that every ledger keeps."""

from __future__ import annotations

from oq.rules.outbox import Outbox

OUTBOXES: tuple[Outbox, ...] = ()
"""No actor of today needs one."""
