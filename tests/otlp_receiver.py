"""A receiver of traces, as a collector is: OTLP over HTTP, as protobuf and as JSON."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """One span.

    Attributes:
        service: Who sent it.
        name: What it surrounds.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_id: The span around it; empty if there is none.
    """

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str


class OtlpReceiver:
    """A context manager that collects spans."""

    def __init__(self) -> None:
        """Listens on a free loopback port."""
        self.spans: list[ReceivedSpan] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                is_json = "json" in (self.headers["Content-Type"] or "")
                receiver.spans += spans_of_json(content) if is_json else spans_of_protobuf(content)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        """Collects."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"


def spans_of_protobuf(content: bytes) -> list[ReceivedSpan]:
    """Reads what OpenTelemetry's Python SDK sends."""
    return [
        ReceivedSpan(
            next(each.value.string_value for each in resource.resource.attributes if each.key == "service.name"),
            span.name,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
        )
        for resource in ExportTraceServiceRequest.FromString(content).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def spans_of_json(content: bytes) -> list[ReceivedSpan]:
    """Reads what Triton sends."""
    message: dict[str, Any] = json.loads(content)
    return [
        ReceivedSpan(
            next(
                each["value"]["stringValue"]
                for each in resource["resource"]["attributes"]
                if each["key"] == "service.name"
            ),
            span["name"],
            span["traceId"].lower(),
            span["spanId"].lower(),
            span.get("parentSpanId", "").lower(),
        )
        for resource in message["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
