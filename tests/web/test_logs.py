"""Log lines for people and machines, without what exceptions say."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from pushkeep.web.logs import configure_logging, get_logger


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """The root logger as it was, whatever a test configures."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_has_one_object_a_line_with_every_fact() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    get_logger("pushkeep.web").info("request", status=200, route="/healthz")
    get_logger("pushkeep.web").debug("hidden")
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["status"], event["route"]) == ("request", 200, "/healthz")
    assert (event["level"], event["logger"]) == ("info", "pushkeep.web")
    assert event["timestamp"].endswith("Z")


def test_console_is_for_reading() -> None:
    stream = io.StringIO()
    configure_logging("console", "info", stream=stream)
    get_logger("pushkeep.web").info("request", status=200)
    assert "request" in stream.getvalue()
    assert "status=200" in stream.getvalue()
    assert "\x1b" not in stream.getvalue(), "no colours where nobody sees them"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_of_a_library_is_reduced_to_type_and_place(log_format: str) -> None:
    stream = io.StringIO()
    configure_logging("json" if log_format == "json" else "console", "info", stream=stream)
    try:
        raise ValueError("secret-endpoint")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    text = stream.getvalue()
    assert "secret-endpoint" not in text
    assert "ValueError" in text
    assert "test_logs.py" in text


def test_a_host_application_sees_events_as_ordinary_records(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        get_logger("pushkeep.web").info("request", status=200)
    (record,) = caplog.records
    assert (record.name, record.getMessage(), vars(record)["status"]) == ("pushkeep.web", "request", 200)
