"""Structured logs: one event name and ids per line; log the ids. What is shaped like an address is taken out of every
line, whoever wrote it, tracebacks included: servers quote rows, libraries quote what they were given.
"""

import logging
import sys
import threading
import traceback
from types import TracebackType

import structlog

from service.domain.redaction import redact

THEIR_OWN_HANDLERS = ("_granian", "granian.access")
"""Loggers of the web server, which would write past ours."""


class _WithoutAddresses(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure(level: str, form: str) -> None:
    """Send structlog and the standard library's logging to stderr in one format. Call once per process."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutAddresses(foreign_pre_chain=shared, processor=renderer))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "kombu", "amqp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for name in THEIR_OWN_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    sys.excepthook = _report
    if threading.excepthook is threading.__excepthook__:  # not where a test runner listens
        threading.excepthook = _report_thread


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python prints when nobody caught an error, without addresses."""
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def _report_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is not SystemExit and ended.exc_value is not None:
        sys.stderr.write(f"Exception in thread {ended.thread.name if ended.thread else 'unknown'}:\n")
        _report(ended.exc_type, ended.exc_value, ended.exc_traceback)
