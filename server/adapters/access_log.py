"""One line a call: remembered in half a microsecond on the request's path, written by a thread, many at a time."""

import json
import threading
import time
from collections import deque
from typing import Final, Self, TextIO

_WRITE_INTERVAL_S: Final = 0.25
_MAX_WAITING_CALLS: Final = 50_000


class AccessLog:
    """A context manager: what is recorded inside is written by its end.

    A slow terminal or a full pipe holds up the writer and nobody else; calls that find no room
    are counted, and their number is written.
    """

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        """Writes nothing yet.

        Args:
            stream: Where the lines go.
            as_json: One JSON object a line, for collectors; else text for people.
        """
        self._stream = stream
        self._as_json = as_json
        self._calls: deque[tuple[float, str, str, float, str, str]] = deque()
        self._lost = 0
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write_until_ended, name="access-log", daemon=True)

    def __enter__(self) -> Self:
        """Begins to write."""
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Writes what is left."""
        self._ended.set()
        self._writer.join()

    def record(self, method: str, code: str, duration_s: float, request_id: str, trace_id: str) -> None:
        """Remembers a call that has just ended; its trace id is empty if it was not traced."""
        if len(self._calls) < _MAX_WAITING_CALLS:
            self._calls.append((time.time(), method, code, duration_s, request_id, trace_id))
        else:
            self._lost += 1

    def _write_until_ended(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(_WRITE_INTERVAL_S)
            lines = [self._line(*self._calls.popleft()) for _ in range(len(self._calls))]
            lost, self._lost = self._lost, 0
            if lost:
                lines.append(f"{lost} calls more\n")
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()

    def _line(self, ended_s: float, method: str, code: str, duration_s: float, request_id: str, trace_id: str) -> str:
        moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ended_s))}.{int(ended_s % 1 * 1000):03d}Z"
        if not self._as_json:
            trace = f" trace {trace_id}" if trace_id else ""
            return f"{moment} CALL {method} {code} {duration_s * 1e3:.2f} ms request {request_id}{trace}\n"
        facts = {
            "time": moment,
            "logger": "loupe.access",
            "method": method,
            "code": code,
            "duration_ms": round(duration_s * 1e3, 3),
            "request_id": request_id,
            **({"trace_id": trace_id} if trace_id else {}),
        }
        return json.dumps(facts) + "\n"
