"""How long tasks of each model take, by those that ran lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from msgspec import Struct

MODELS = 512
"""Models of which it is remembered."""
LATELY = 64
"""About so many tasks of a model count."""


class TimesRecord(Struct, frozen=True, array_like=True):
    """What is kept over a restart: the mean of all, and of models, the one that ran last at the
    end: its name, its mean, and how many tasks that is of.
    """

    usual: float | None = None
    models: list[tuple[str, float, int]] = []


class ServiceTimes:
    """A mean for each model, which follows the tasks that end; of all, for a model that is new."""

    def __init__(self) -> None:
        self.usual: float | None = None
        """The mean of all tasks; None while none has ended."""
        self._seen = 0
        self._means: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._means)

    def note(self, model: str, times: Sequence[float]) -> None:
        """Tasks of this model were served, each in so many seconds."""
        number, took = len(times), sum(times) / len(times)
        mean, seen = self._means.get(model, (0.0, 0))
        seen = min(seen + number, LATELY)
        self._means[model] = mean + (took - mean) * min(1.0, number / seen), seen
        self._means.move_to_end(model)
        if len(self._means) > MODELS:
            self._means.popitem(last=False)
        usual = took if self.usual is None else self.usual
        self._seen = min(self._seen + number, LATELY)
        self.usual = usual + (took - usual) * min(1.0, number / self._seen)

    def of(self, model: str) -> float:
        """What a task of this model is expected to take; 0 while nothing is known."""
        known = self._means.get(model)
        return (self.usual or 0.0) if known is None else known[0]

    def record(self, most: int = MODELS) -> TimesRecord:
        """What is known, of so many models at most."""
        models = [(model, round(mean, 4), seen) for model, (mean, seen) in self._means.items()]
        return TimesRecord(self.usual, models[len(models) - min(most, len(models)) :])

    def restore(self, record: TimesRecord) -> None:
        self.usual = record.usual
        self._seen = 0 if record.usual is None else LATELY
        for model, mean, seen in record.models[-MODELS:]:
            self._means[model] = mean, min(max(1, seen), LATELY)
