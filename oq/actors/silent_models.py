"""Tells the scheduler of models of which no task produces anything any more."""

from __future__ import annotations

from operator import attrgetter

import trio

from oq.actors.attempts import RunningAttempt, RunningAttempts
from oq.actors.streams import Streams
from oq.rules.model_names import full_name
from oq.rules.wedges import Key, Run, Wedges
from oq.words.channels import put
from oq.words.messages import Answered, Ended, Freed, Wedged


class SilentModels:
    """Looks at what runs, a few times in `after` seconds: a note for each chunk would cost each of
    them. If a model is wedged, the attempts that run for it are marked.
    """

    def __init__(
        self,
        runs: RunningAttempts,
        streams: Streams,
        after: float,
        to_scheduler: trio.MemorySendChannel[Freed | Answered | Wedged],
    ) -> None:
        self._runs = runs
        self._streams = streams
        self._to_scheduler = to_scheduler
        self._wedges = Wedges(after)

    def ended(self, run: RunningAttempt, ended: Ended) -> None:
        """An attempt has ended in this way. It is called for each."""
        if ended.served:
            self._wedges.served(*_key(run))
        elif ended.down is not None:
            self._wedges.away(run.backend.name, trio.current_time())

    async def look(self) -> float:
        """Look at what runs now. When to look again."""
        now = trio.current_time()
        before = self._wedges.wedged
        self._wedges.look([self._run(run) for run in self._runs], now)
        wedged = self._wedges.wedged
        first: dict[Key, str] = {}
        recovered: list[str] = []
        for run in sorted(self._runs, key=attrgetter("deadline"), reverse=True):
            first[_key(run)] = run.state.id
            key = _key(run)
            if run.wedged and key not in wedged:
                recovered.append(run.state.id)
            run.wedged = key in wedged
        for key in sorted(wedged - before):
            await put(self._to_scheduler, Wedged(*key, first[key]))
        for task_id in recovered:
            await put(self._to_scheduler, Answered(task_id))
        return self._wedges.due

    def _run(self, run: RunningAttempt) -> Run:
        stream = self._streams.get(run.state.id)
        chunks = 0 if stream is None else stream.produced
        return Run(run.state.id, _key(run), run.begun_at, chunks)


def _key(run: RunningAttempt) -> Key:
    return run.backend.name, full_name(run.state.terms.model)
