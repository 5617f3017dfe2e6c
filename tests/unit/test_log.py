"""The log: lines for people and for collectors, and never in a request's way."""

import io
import json
import logging
import queue

import pytest

from server.adapters.access_log import AccessLog
from server.adapters.log import JsonFormatter, TextFormatter, _Enqueue, logging_to

FACTS = {"method": "InspectImage", "duration_ms": 1.5}


def written(*, as_json: bool = False, level: str = "INFO") -> str:
    """Returns what is written of some messages."""
    stream = io.StringIO()
    with logging_to(stream, level=level, as_json=as_json):
        logging.getLogger("server.first").info("%(method)s %(duration_ms).1f ms", FACTS)
        logging.getLogger("server.test").debug("too quiet")
        try:
            raise ValueError("seen")  # noqa: TRY301
        except ValueError:
            logging.getLogger("server.test").exception("it %s", "failed")
    logging.getLogger("server.test").error("too late")
    return stream.getvalue()


def test_lines_for_people() -> None:
    """Time, severity, logger, message; a traceback where there is one."""
    first, second, *trace = written().splitlines()
    assert first.endswith("Z INFO server.first: InspectImage 1.5 ms")
    assert second.endswith("Z ERROR server.test: it failed")
    assert trace[-1] == "ValueError: seen"


def test_lines_for_collectors() -> None:
    """One JSON object a line; named values are fields."""
    first, second = (json.loads(line) for line in written(as_json=True).splitlines())
    assert first["message"] == "InspectImage 1.5 ms"
    assert first["duration_ms"] == pytest.approx(1.5)
    assert second["level"] == "ERROR"
    assert "ValueError: seen" in second["exception"]


def calls_written(*, as_json: bool) -> str:
    """Returns what is written of two calls."""
    stream = io.StringIO()
    with AccessLog(stream, as_json=as_json) as log:
        log.record("loupe.v1.InspectionService/InspectImage", "OK", 0.0125, "first", "")
        log.record("loupe.v1.InspectionService/InspectImage", "NOT_FOUND", 0.001, 'sec"ond', "abc")
    return stream.getvalue()


def test_each_call_is_a_line_for_people() -> None:
    """When, what, how it ended, how long it took, and what to quote."""
    first, second = calls_written(as_json=False).splitlines()
    assert first.endswith("Z CALL loupe.v1.InspectionService/InspectImage OK 12.50 ms request first")
    assert "NOT_FOUND 1.00 ms" in second


def test_each_call_is_a_line_for_collectors() -> None:
    """Sound JSON, whatever the request id."""
    first, second = (json.loads(line) for line in calls_written(as_json=True).splitlines())
    assert (first["code"], first["duration_ms"]) == ("OK", 12.5)
    assert second["request_id"] == 'sec"ond'


def test_calls_beyond_the_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log may lose lines, and says how many."""
    monkeypatch.setattr("server.adapters.access_log._MAX_WAITING_CALLS", 1)
    stream = io.StringIO()
    log = AccessLog(stream, as_json=False)
    for _ in range(3):
        log.record("method", "OK", 0.0, "x", "")
    with log:
        pass
    assert stream.getvalue().splitlines()[1:] == ["2 calls more"]


def test_a_full_queue_drops_lines() -> None:
    """A line less is better than a request that waits."""
    lines: queue.Queue[logging.LogRecord] = queue.Queue(1)
    handler = _Enqueue(lines)
    record = logging.LogRecord("x", logging.INFO, "", 0, "m", (), None)
    handler.emit(record)
    handler.emit(record)
    assert lines.qsize() == 1


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_times_are_utc(formatter: logging.Formatter) -> None:
    """Whatever the machine's time zone."""
    record = logging.LogRecord("x", logging.INFO, "", 0, "m", (), None)
    record.created, record.msecs = 0.0, 7.0
    assert "1970-01-01T00:00:00.007Z" in formatter.format(record)
