"""The log: lines for people and for collectors, and never in a request's way."""

import io
import json
import logging
import queue

import pytest

from server.adapters.log import ACCESS_LOGGER, JsonFormatter, TextFormatter, _Enqueue, logging_to

FACTS = {"method": "InspectImage", "duration_ms": 1.5}


def written(*, as_json: bool = False, access: bool = True, level: str = "INFO") -> str:
    """Returns what is written of some messages."""
    stream = io.StringIO()
    with logging_to(stream, level=level, as_json=as_json, access=access):
        logging.getLogger(ACCESS_LOGGER).info("%(method)s %(duration_ms).1f ms", FACTS)
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
    assert first.endswith("Z INFO loupe.access: InspectImage 1.5 ms")
    assert second.endswith("Z ERROR server.test: it failed")
    assert trace[-1] == "ValueError: seen"


def test_lines_for_collectors() -> None:
    """One JSON object a line; named values are fields."""
    first, second = (json.loads(line) for line in written(as_json=True).splitlines())
    assert first["message"] == "InspectImage 1.5 ms"
    assert first["duration_ms"] == pytest.approx(1.5)
    assert second["level"] == "ERROR"
    assert "ValueError: seen" in second["exception"]


def test_calls_need_not_be_logged() -> None:
    """All else still is."""
    assert "InspectImage" not in written(access=False)
    assert "it failed" in written(access=False)


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
