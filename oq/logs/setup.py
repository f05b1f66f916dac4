"""How the log is configured: in oq's own processes, and as a guest in those of others."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from oq.logs.sink import SINK
from oq.words.config import LoggingConfig

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


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
    SINK.open(config.file)
    structlog.configure(
        processors=_processors(config, colours=config.file is None and _on_a_terminal()),
        wrapper_class=_logger(_LEVELS[config.level]),
        logger_factory=lambda *_: SINK,
        cache_logger_on_first_use=cached,
    )
    try:
        yield
    finally:
        structlog.reset_defaults()
        SINK.close()


def _logger(level: int) -> type[Any]:
    """structlog's own, but that a line that cannot be put together is lost and not raised."""
    base: Any = structlog.make_filtering_bound_logger(level)

    class Logger(base):  # type: ignore[misc]
        def _proxy_to_logger(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super()._proxy_to_logger(*args, **kwargs)
            except Exception as error:  # a value whose repr raises, for one
                SINK.lose(error)

    return Logger


def _on_a_terminal() -> bool:
    """Whether a person reads the standard error, if there is one."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


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
        try:
            message = record.getMessage()
        except Exception as error:  # the library's arguments do not fit its words
            SINK.lose(error)
        else:
            say(message, logger=record.name, **details)
