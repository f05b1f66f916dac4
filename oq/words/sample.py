"""How a backend served one task, as its scheduler is told."""

from __future__ import annotations

from msgspec import Struct


class Sample(Struct, frozen=True, gc=False):
    """How one task was served. In seconds: `took` from its hand-over to its end, `first` to the
    first byte of its answer, `waited` and `load` as the backend's last line says them; and its
    `tokens`, the generated ones or, if there are none, those of its prompt. None: not known.
    """

    took: float
    first: float | None = None
    waited: float | None = None
    load: float | None = None
    tokens: int | None = None
