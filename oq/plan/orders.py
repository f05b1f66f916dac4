"""What decides which task runs next: a policy of oq, or a server alone."""

from __future__ import annotations

import re
from typing import Literal, get_args

from msgspec import Struct

from oq.words.config import Config, FairnessConfig, PolicyName, SchedulerConfig, to_config
from oq.words.errors import InvalidConfig

Peer = Literal["plain", "ollama"]
"""What is beside the policies: `plain` is first in, first out, whatever the priority; `ollama` is
no queue at all: a server gets each call at once, and has its own order."""

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)

POLICY_NAMES: tuple[PolicyName, ...] = get_args(PolicyName)
PEER_NAMES: tuple[Peer, ...] = get_args(Peer)


class Order(Struct, frozen=True):
    """`text` is as it was asked for. `settings` are those of the scheduler, `fairness` those of the
    fairness between tenants.
    """

    text: str
    name: PolicyName | Peer
    settings: SchedulerConfig
    fairness: FairnessConfig = FairnessConfig()

    @property
    def policy(self) -> PolicyName:
        """The policy whose code decides, if any does."""
        if self.name == "plain" or self.name == "ollama":
            return "fifo"
        return self.name

    @property
    def passes(self) -> float | None:
        """For how many seconds it may pass over the oldest task of a priority; None if nobody
        promises anything, or a rule comes first that looks at other things.
        """
        rules = self.settings
        if rules.preempt or rules.idle_after or rules.reserve or self.fairness.enabled:
            return None
        match self.name:
            case "ollama":
                return None
            case "affinity":
                return self.settings.max_bypass
            case "fifo" | "plain":
                return 0.0


def parse_order(text: str) -> Order:
    """An order as ``affinity,max_bypass=30s``: a name, and settings of the scheduler. Besides these
    ``fairness=true`` and ``quantum=2000`` are those of the fairness. ``weight=ann:2`` is the weight
    of a tenant and ``reserve=high:1`` a slot that is kept, as often as wanted. ValueError says what
    is wrong.
    """
    name, *rest = (part.strip() for part in text.split(","))
    for known in (*POLICY_NAMES, *PEER_NAMES):
        if name == known:
            break
    else:
        raise ValueError(f"{name[:80]!r} is not one of {', '.join((*POLICY_NAMES, *PEER_NAMES))}")
    scheduler: dict[str, object] = {"affinity": name == "affinity"}
    fairness: dict[str, object] = {}
    reserve: list[dict[str, object]] = []
    weights: list[dict[str, object]] = []
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or key == "affinity":
            raise ValueError(f"{part[:80]!r} is no setting; write affinity,max_bypass=30s")
        match key:
            case "fairness":
                fairness["enabled"] = _value(value)
            case "quantum":
                fairness[key] = _value(value)
            case "reserve":
                priority, _, slots = value.partition(":")
                reserve.append({"priority": priority, "slots": _value(slots or "1")})
            case "weight":
                tenant, _, weight = value.rpartition(":")
                weights.append({"tenant": tenant, "weight": _value(weight)})
            case _:
                scheduler[key] = _value(value)
    try:
        config = to_config(
            {
                "scheduler": {**scheduler, "reserve": reserve},
                "fairness": {**fairness, "weights": weights},
            }
        )
    except InvalidConfig as error:
        raise ValueError(str(error)) from None
    return Order(text, known, config.scheduler, config.fairness)


def order_of(config: Config, text: str) -> Order:
    """The order that these settings say, under this name."""
    return Order(text, config.scheduler.policy, config.scheduler, config.fairness)


def _value(text: str) -> object:
    """A number or a truth value, if it is one; else a text, as a duration is."""
    if text in ("true", "false"):
        return text == "true"
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
