"""What a caller may see: the one place that decides it, for listings, counts, bulk wishes, and all
that is asked of a single task.
"""

from __future__ import annotations

from oq.rules.filters import TaskFilter
from oq.words.caller import Caller


def narrow(filter: TaskFilter, caller: Caller) -> TaskFilter:
    """The filter without the tasks that this caller may not see. Tasks have no owners yet, so
    everybody sees all of them.
    """
    return filter
