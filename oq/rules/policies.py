"""The scheduling policies that there are, by the name that `scheduler.policy` has."""

from __future__ import annotations

from oq.rules.fifo import Fifo
from oq.rules.policy import Policy
from oq.words.config import PolicyName

POLICIES: dict[PolicyName, type[Policy]] = {
    "fifo": Fifo,
}
