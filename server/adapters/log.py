"""The log: written by a thread of its own, so that a slow terminal or a full pipe never stops a request."""

import json
import logging
import logging.handlers
import queue
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

_MAX_WAITING_LINES = 10_000
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
_MILLISECONDS_FORMAT = "%s.%03dZ"


@contextmanager
def logging_to(stream: TextIO, *, level: str, as_json: bool) -> Iterator[None]:
    """Sends this process's log to a stream, and puts everything back at the end.

    Args:
        stream: Where the lines go.
        level: The least severe messages that are written.
        as_json: One JSON object a line, for collectors; else text for people.
    """
    writer = logging.StreamHandler(stream)
    writer.setFormatter(JsonFormatter() if as_json else TextFormatter())
    lines: queue.Queue[logging.LogRecord] = queue.Queue(_MAX_WAITING_LINES)
    listener = logging.handlers.QueueListener(lines, writer)
    root, handler = logging.getLogger(), _Enqueue(lines)
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    listener.start()
    try:
        with warnings.catch_warnings():
            # Pillow remarks on damaged metadata of photos that it reads all the same.
            warnings.filterwarnings("ignore", module="PIL")
            yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        listener.stop()


class TextFormatter(logging.Formatter):
    """One line for people: time in UTC, severity, logger, message."""

    default_time_format = _TIME_FORMAT
    default_msec_format = _MILLISECONDS_FORMAT

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.converter = time.gmtime


class JsonFormatter(logging.Formatter):
    """One JSON object a line; a message that was filled from named values has them as fields."""

    default_time_format = _TIME_FORMAT
    default_msec_format = _MILLISECONDS_FORMAT

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.args, Mapping):
            line |= record.args
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Enqueue(logging.handlers.QueueHandler):
    """Hands records over as they are: formatting is the writer's work."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            # A line less is better than a request that waits for the log.
            return
