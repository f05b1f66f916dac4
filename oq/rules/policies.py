"""The scheduling policies that there are, by name."""

from __future__ import annotations

from oq.rules.affinity import Affinity
from oq.rules.fifo import Fifo
from oq.rules.policy import Policy
from oq.words.config import PolicyName

POLICIES: dict[PolicyName, type[Policy]] = {
    "fifo": Fifo,
    "affinity": Affinity,
}
