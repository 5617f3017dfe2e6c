"""Traces: what nests, what is continued, and what is not sent."""

from collections.abc import Callable

from otlp_receiver import OtlpReceiver, ReceivedSpan

from server.adapters.tracing import OpenTelemetryTracer

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED_PARENT = PARENT[:-1] + "0"


def sent(act: Callable[[OpenTelemetryTracer], None], *, share: float) -> dict[str, ReceivedSpan]:
    """Returns the spans that arrive, by name."""
    with OtlpReceiver() as receiver:
        tracer = OpenTelemetryTracer(receiver.endpoint, share=share)
        act(tracer)
        tracer.stop()
    return {each.name: each for each in receiver.spans}


def test_steps_nest_in_their_call() -> None:
    """Call, tier, Triton: one trace, each the parent of the next."""
    ids = []

    def act(tracer: OpenTelemetryTracer) -> None:
        with tracer.call("Inspect", {}) as trace_id, tracer.step("tier fast"), tracer.step("triton"):
            ids.append(trace_id)

    spans = sent(act, share=1.0)
    assert {each.trace_id for each in spans.values()} == set(ids)
    assert spans["Inspect"].parent_id == ""
    assert spans["tier fast"].parent_id == spans["Inspect"].span_id
    assert spans["triton"].parent_id == spans["tier fast"].span_id
    assert {each.service for each in spans.values()} == {"loupe"}


def test_a_callers_trace_is_continued() -> None:
    """Under the caller's own id, whatever share is set, and Triton is told of it."""
    headers = []

    def act(tracer: OpenTelemetryTracer) -> None:
        with tracer.call("Inspect", {"traceparent": PARENT}), tracer.step("triton"):
            headers.append(dict(tracer.headers())["traceparent"])

    spans = sent(act, share=0.0)
    assert spans["Inspect"].trace_id == PARENT[3:35]
    assert spans["Inspect"].parent_id == PARENT[36:52]
    assert headers == [f"00-{PARENT[3:35]}-{spans['triton'].span_id}-01"]


def test_what_is_not_recorded_is_not_sent_on() -> None:
    """A share of nothing, or a caller that decided against it: an id for the log, no span, no header."""

    def act(tracer: OpenTelemetryTracer) -> None:
        for metadata in ({}, {"traceparent": UNSAMPLED_PARENT}):
            with tracer.call("Inspect", metadata) as trace_id, tracer.step("triton"):
                assert len(trace_id) == 32
                assert tracer.headers() == ()

    assert sent(act, share=0.0) == {}


def test_a_collector_that_is_not_there_holds_up_nobody() -> None:
    """Spans are dropped, calls go on."""
    tracer = OpenTelemetryTracer("http://127.0.0.1:1", share=1.0)
    with tracer.call("Inspect", {}) as trace_id:
        assert trace_id
    tracer.stop()
