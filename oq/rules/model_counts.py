"""How many tasks of each model wait and run now."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

from oq.rules.model_names import one_name
from oq.rules.tallies import OTHERS

MOST_NAMES = 5000
"""Names that are looked at for one answer. A client may have made up a million of them."""


class ModelTasks(Struct):
    """Tasks of one model."""

    waiting: int = 0
    running: int = 0


def tasks_by_model(
    waiting: Iterable[tuple[str, int]], total: int, running: Iterable[str]
) -> dict[str, ModelTasks]:
    """By the one name of each model. `waiting` are names with how many tasks of each wait; a name
    may come more than once. `total` tasks wait in all, and those of more names than MOST_NAMES are
    counted as OTHERS. `running` are the models of the tasks that run.
    """
    found: dict[str, ModelTasks] = {}
    left = total
    for model, count in islice(waiting, MOST_NAMES):
        found.setdefault(one_name(model), ModelTasks()).waiting += count
        left -= count
    for model in running:
        found.setdefault(one_name(model), ModelTasks()).running += 1
    if left:
        found.setdefault(OTHERS, ModelTasks()).waiting += left
    return found
