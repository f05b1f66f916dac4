"""The log: one line an event, for people or as JSON, to the standard error or to a file.

Whoever has something to say does so by ``log = structlog.get_logger()`` and
``log.info("task failed", task_id=...)``. Prompts, payloads and results are never logged;
tracebacks show no local variables, because these would be prompts.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from oq.words.config import LoggingConfig
from oq.words.errors import InvalidConfig

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Sink:
    """Where lines go. It stands between the loggers, which are cached once they have been used,
    and the stream, which is another in each `configured` block.
    """

    def __init__(self) -> None:
        self.stream: TextIO | None = None

    def msg(self, line: str) -> None:
        stream = self.stream or sys.stderr
        # One write a line, so that lines of several processes in one file do not mix.
        stream.write(line + "\n")
        stream.flush()

    debug = info = warning = error = critical = msg


_SINK = _Sink()


@contextmanager
def configured(config: LoggingConfig) -> Iterator[None]:
    """Log as `config` says for as long as the block lasts.

    What libraries say through `logging`, from warnings up, becomes lines of the same form. Raises
    InvalidConfig when the log file cannot be opened. A logger keeps the level that it had when it
    was first used: that is what makes a line that is filtered out cost well under a microsecond.
    """
    root, handler = logging.getLogger(), _Forward()
    with _to_sink(config, cached=True):
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)


class _Guests:
    """The queues that are open in programs of others: the first one's settings count until the
    last one has closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._settings = ExitStack()

    @contextmanager
    def stay(self, config: LoggingConfig) -> Iterator[None]:
        with self._lock:
            if not self._count:
                self._settings.enter_context(_to_sink(config, cached=False))
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if not self._count:
                    self._settings.close()

    @property
    def here(self) -> bool:
        return self._count > 0


_GUESTS = _Guests()


@contextmanager
def configured_as_guest(config: LoggingConfig) -> Iterator[None]:
    """Log as `config` says in a program that is not oq's own.

    If that has configured structlog, its settings hold and these are of no account. What its
    libraries say through `logging` is left to it. Of several queues in one program, the settings
    of the first count until the last has closed. Raises InvalidConfig as `configured` does.
    """
    if structlog.is_configured() and not _GUESTS.here:
        yield
        return
    with _GUESTS.stay(config):
        yield


@contextmanager
def _to_sink(config: LoggingConfig, *, cached: bool) -> Iterator[None]:
    stream = _open(config.file)
    _SINK.stream = stream
    structlog.configure(
        processors=_processors(config, colours=stream is None and sys.stderr.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[config.level]),
        logger_factory=lambda *_: _SINK,
        cache_logger_on_first_use=cached,
    )
    try:
        yield
    finally:
        structlog.reset_defaults()
        _SINK.stream = None
        if stream is not None:
            stream.close()


def _open(path: str | None) -> TextIO | None:
    if path is None:
        return None
    try:
        return open(path, "a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InvalidConfig(
            f"logging.file: {path!r} cannot be opened ({error.strerror}); name a file that may be"
            " written, or leave it out to log to the standard error"
        ) from None


def _processors(config: LoggingConfig, *, colours: bool) -> list[Processor]:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if config.format == "json":
        return [*shared, structlog.processors.format_exc_info, _to_json]
    console = structlog.dev.ConsoleRenderer(
        colors=colours,
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
    )
    return [*shared, _escape, console]


def _to_json(_logger: Any, _name: str, event: EventDict) -> str:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    # The standard library's encoder: it also takes strings that are not valid Unicode.
    return json.dumps({**first, **event}, default=str)


def _escape(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """What came from outside must not move the cursor of the terminal that shows it."""
    for key, value in event.items():
        if key != "exc_info" and isinstance(value, str) and not value.isprintable():
            event[key] = repr(value)
    return event


class _Forward(logging.Handler):
    """Hands the records of libraries to structlog."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        say: Callable[..., Any] = log.error if record.levelno >= logging.ERROR else log.warning
        details = {} if record.exc_info is None else {"exc_info": record.exc_info}
        say(record.getMessage(), logger=record.name, **details)
