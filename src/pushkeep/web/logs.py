"""The log: events with facts, as lines for people or as JSON.

Events go through the standard library's ``logging`` with their facts as ``extra``, so a host application that embeds
Pushkeep sees them in its own log; :func:`configure_logging` is for the server that has the process to itself. Nothing
secret is passed in, and an exception is reduced to its type and places: messages of libraries quote statements,
parameters and bodies.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Literal, TextIO, TypeAlias

import structlog
from structlog.stdlib import BoundLogger, ExtraAdder, ProcessorFormatter
from structlog.types import EventDict, Processor, WrappedLogger

LogAddresses: TypeAlias = Literal["off", "truncated", "full"]
"""How much of a client's address a line has."""


def get_logger(name: str) -> BoundLogger:
    """A logger of events: ``log.info("event", fact=value, …)``."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=BoundLogger,
    )
    return logger


def configure_logging(log_format: Literal["console", "json"], level: str, *, stream: TextIO | None = None) -> None:
    """Write every log line of this process in one form.

    Args:
        log_format: ``console`` for people, ``json`` for machines.
        level: the least important level shown.
        stream: where to; standard error by default, since standard output belongs to commands.
    """
    target = stream or sys.stderr
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=target.isatty(), pad_event_to=12)
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                ExtraAdder(),
                _reduce_exception,
            ],
            processors=[ProcessorFormatter.remove_processors_meta, renderer],
            keep_exc_info=False,
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Their own lines about start and stop repeat ours.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def places(trace: TracebackType | None) -> list[str]:
    """Where an exception passed, outermost first, without any value."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def _reduce_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    given = record.exc_info if isinstance(record, logging.LogRecord) else None
    event.pop("exc_info", None)
    if given and given[0] is not None:
        event["error"] = given[0].__qualname__
        event["at"] = places(given[2])
    return event
