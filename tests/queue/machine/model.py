"""What the queue ought to know: a dict of tasks, and the rules of their lives in the plainest form.

Nothing is incremental here and nothing is fast: the next task is looked for among all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_DELAY, LONGEST_DELAY, FACTOR = 1, 8, 2
DRAIN_TIMEOUT = 30
PROBE_INTERVAL = 0.001
CLEANUP_INTERVAL = 100
MAX_PENDING = 12

MICROSECOND = 1e-6
ENDED = ("completed", "failed", "cancelled")


@dataclass
class Known:
    """One task. Times are seconds of the wall clock since the machine began."""

    id: str
    prompt: str
    priority: int
    max_retries: int
    run_at: float | None = None
    key: str | None = None
    batched: bool = False
    status: str = "pending"
    waits: bool = False
    """In line or not: it was delayed when it was last put there, and nobody has woken it since."""
    due: float | None = None
    """When a retry may run, in seconds that have passed: it follows no wall clock."""
    delay: float = 0.0
    """Of a retry, all of it: no restart makes it longer."""
    ended_at: float = 0.0
    retries: int = 0
    deaths: int = 0
    attempts: int = 0
    error: bool = False

    @property
    def awaited(self) -> bool:
        """Whether it is kept until somebody has read what became of it; here nobody does."""
        return self.batched or self.key is not None


@dataclass
class Model:
    slots: int
    keep: int
    tasks: dict[str, Known] = field(default_factory=dict)
    paused: bool = False
    draining: bool = False
    backend_up: bool = True
    now: float = 0.0
    next_cleanup: float = 0.0
    """In seconds that have passed, which no clock can be set back from."""
    passed: float = 0.0
    started: list[str] = field(default_factory=list)
    """The prompts that ought to have started since this was last looked at."""

    # -- what is so

    def of(self, *statuses: str) -> list[Known]:
        return [task for task in self.tasks.values() if task.status in statuses]

    def in_line(self) -> list[Known]:
        """Those that only wait for a slot, in the order in which they will get one."""
        ready = [task for task in self.of("pending") if not task.waits]
        return sorted(ready, key=lambda task: (-task.priority, task.id))

    def overdue(self) -> list[Known]:
        """Those that were delayed, and are in line by now."""
        return [task for task in self.of("pending") if task.run_at is not None and not task.waits]

    def has_room(self, count: int) -> bool:
        return len(self.of("pending")) + count <= MAX_PENDING

    def claimed(self, key: str) -> Known | None:
        return next((task for task in self.tasks.values() if task.key == key), None)

    # -- what happens

    def submit(self, *tasks: Known) -> None:
        for task in tasks:
            if task.run_at is not None and task.run_at <= self.now:
                task.run_at = None
            self.tasks[task.id] = task
        self.put_in_line(*tasks)

    def put_in_line(self, *tasks: Known) -> None:
        for task in tasks:
            task.status = "pending"
            task.waits = task.run_at is not None
        self.dispatch()

    def is_to_come(self, task: Known) -> bool:
        """Whether its time has yet to come."""
        if task.due is not None:
            return task.due > self.passed + MICROSECOND
        return task.run_at is not None and task.run_at > self.now + MICROSECOND

    def dispatch(self) -> None:
        while (
            not (self.paused or self.draining)
            and self.backend_up
            and len(self.of("running")) < self.slots
            and self.in_line()
        ):
            task = self.in_line()[0]
            task.status, task.run_at, task.due = "running", None, None
            task.attempts += 1
            self.started.append(task.prompt)

    def end(self, task: Known, status: str, *, error: bool = False) -> None:
        task.status, task.run_at, task.due, task.waits = status, None, None, False
        task.ended_at = self.now
        task.error = error or (task.error and status == "cancelled")
        self.dispatch()

    def fail(self, task: Known, asked: float = 0.0) -> None:
        """An attempt failed in a way that another may not; `asked` is the backend's Retry-After."""
        if task.retries == task.max_retries:
            self.end(task, "failed", error=True)
            return
        delay = min(LONGEST_DELAY, max(asked, FIRST_DELAY * FACTOR**task.retries))
        task.retries += 1
        task.run_at, task.due, task.error = self.now + delay, self.passed + delay, True
        task.delay = delay
        self.put_in_line(task)

    def refuse(self, task: Known) -> None:
        """The backend turns out to be down: the attempt never was."""
        self.backend_up = False
        task.attempts -= 1
        self.put_in_line(task)

    def requeue(self, task: Known) -> None:
        task.retries = task.deaths = 0
        task.error = False
        self.put_in_line(task)

    # -- time

    def wake(self) -> None:
        """Those whose time has come get in line."""
        for task in self.of("pending"):
            task.waits = task.waits and self.is_to_come(task)
        self.dispatch()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds
        self.wake()
        if self.passed >= self.next_cleanup:
            self.clean_up()

    def set_clock_back(self, seconds: float) -> None:
        self.now -= seconds

    def clean_up(self) -> None:
        """Retention: the oldest ended tasks go, of those that nobody comes back for."""
        self.next_cleanup = self.passed + CLEANUP_INTERVAL
        counted = [task for task in self.of(*ENDED) if not task.awaited]
        latest = sorted(counted, key=lambda task: (task.ended_at, task.id), reverse=True)
        for task in latest[self.keep :] if self.keep else []:
            del self.tasks[task.id]

    # -- restarts

    def interrupt(self) -> None:
        """The drain is over: what runs goes back in line and keeps its attempt."""
        for task in self.of("running"):
            task.status = "pending"

    def die(self) -> None:
        """The process ended while tasks ran: they run again, unless they are what kills it."""
        self.draining = True
        for task in self.of("running"):
            task.deaths += 1
            if task.deaths > task.max_retries:
                self.end(task, "failed", error=True)
            else:
                task.status = "pending"

    def open(self, *, backend_up: bool) -> None:
        """A new process: what it finds on disk is all that there is."""
        self.draining, self.backend_up = False, backend_up
        for task in self.of("pending"):
            task.waits = task.run_at is not None
            task.due = None
            if task.run_at is not None and task.retries:
                task.due = self.passed + min(task.run_at - self.now, task.delay)
        self.wake()
        self.clean_up()
