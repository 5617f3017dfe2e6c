"""Traces by OpenTelemetry: request, tier, Triton. A share of the calls, and every call whose caller records its own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACES_PATH: Final = "/v1/traces"

_SERVICE: Final = "loupe"
_EXPORT_TIMEOUT_S: Final = 2.0


class OpenTelemetryTracer:
    """Implements `server.domain.ports.Tracer`; spans leave in batches, by a thread of their own."""

    def __init__(self, endpoint: str, *, share: float) -> None:
        """Traces at once.

        Args:
            endpoint: Where spans go, the base URL of an OTLP receiver over HTTP, e.g. `http://127.0.0.1:4318`.
            share: Of the calls that no caller has decided on, in [0, 1].
        """
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(share),
            resource=Resource({"service.name": _SERVICE}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + TRACES_PATH, timeout=_EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(_SERVICE)
        self._propagator = TraceContextTextMapPropagator()

    def stop(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()

    @contextmanager
    def call(self, method: str, metadata: Mapping[str, str]) -> Iterator[str]:
        """Surrounds a call that came in; see the port."""
        parent = self._propagator.extract(metadata)
        with self._tracer.start_as_current_span(method, context=parent, kind=SpanKind.SERVER) as span:
            yield format_trace_id(span.get_span_context().trace_id)

    def step(self, name: str) -> AbstractContextManager[object]:
        """Surrounds a part of a call; see the port."""
        return self._tracer.start_as_current_span(name)

    def headers(self) -> Sequence[tuple[str, str]]:
        """Returns what lets another server continue the trace; see the port."""
        # Triton traces whatever comes with a traceparent.
        if not trace.get_current_span().is_recording():
            return ()
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return tuple(carrier.items())
