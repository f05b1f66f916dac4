"""JSON from outside: what decoders raise at it."""

from __future__ import annotations

import msgspec

NOT_READ = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What a decoder raises at bytes from outside that it cannot read: they are no JSON or have another
form, they are not UTF-8 or hold half a surrogate pair, or they are nested too deeply."""
