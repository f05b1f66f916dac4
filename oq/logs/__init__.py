"""The log: one line an event, for people or as JSON, to the standard error or to a file.

Whoever has something to say does so by ``log = structlog.get_logger()`` and
``log.info("task failed", task_id=...)``. Prompts, payloads and results are never logged;
tracebacks show no local variables, because these would be prompts. To log never raises: a line
that cannot be written is dropped and counted.

setup   how the log is configured, in oq's own processes and in those of others
sink    where lines go, and what becomes of those that cannot be written
file    the log file: which one will do, and how it is opened
"""

from oq.logs.setup import configured, configured_as_guest
from oq.logs.sink import lost_lines, reopen

__all__ = ["configured", "configured_as_guest", "lost_lines", "reopen"]
