"""What a model is loaded with: two calls that ask for different things of it load it again. Pure.

As in Ollama's scheduler (`needsReload` in server/sched.go): of a call's fields only the options
here and `shift` count. Which model it is, is not asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NUM_CTX, _LEAST_NUM_CTX = 4096, 4
_NUM_BATCH = 512


@dataclass(frozen=True, slots=True)
class LoadGroup:
    """The values that a call wants, or that a model in memory has."""

    num_ctx: float
    num_batch: float
    num_thread: float
    num_gpu: float
    main_gpu: float | None
    shift: bool

    def fits(self, has: LoadGroup) -> bool:
        """Whether a model in memory that `has` these values will do.

        A call that leaves `num_gpu` to Ollama (-1) takes a model with any.
        """
        if self.num_gpu >= 0 and self.num_gpu != has.num_gpu:
            return False
        return self._others() == has._others()

    def _others(self) -> tuple[object, ...]:
        return self.num_ctx, self.num_batch, self.num_thread, self.main_gpu, self.shift


def load_group(options: Mapping[str, Any], shift: bool | None, context: int) -> LoadGroup:
    """What a call with these options wants. `context` is the most tokens that its model knows:
    more is not given to it.
    """
    wanted = max(_number(options, "num_ctx", _NUM_CTX), _LEAST_NUM_CTX)
    main_gpu = options.get("main_gpu")
    return LoadGroup(
        num_ctx=min(wanted, context),
        num_batch=_number(options, "num_batch", _NUM_BATCH),
        num_thread=_number(options, "num_thread", 0),
        num_gpu=_number(options, "num_gpu", -1),
        main_gpu=main_gpu if isinstance(main_gpu, int | float) else None,
        shift=shift is not False,
    )


def _number(options: Mapping[str, Any], name: str, default: float) -> float:
    value = options.get(name)
    return value if isinstance(value, int | float) else default
