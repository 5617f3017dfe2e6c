"""What operators measure: OpenTelemetry instruments, offered to Prometheus on a port of their own.

Labels come from releases and from fixed lists, never from callers: nobody can fill the memory of
whoever scrapes.
"""

import asyncio
from collections.abc import Callable, Container, Iterable
from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, start_http_server

from server.service.inspection import Inspection
from server.service.observer import TierLoad

_SERVICE: Final = "loupe"
_NONE: Final = "none"
_BOUNDARIES_S: Final = (
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0),
)

CodeOf = Callable[[BaseException], str]
"""Returns the name of the status code that callers get for an error."""


class Metrics:
    """Implements `server.service.observer.Observer`, and serves what it has seen from `start` to `stop`."""

    def __init__(
        self,
        address: str,
        *,
        code_of: CodeOf,
        read_tasks: Callable[[], Container[str]],
        read_loads: Callable[[], Iterable[TierLoad]],
    ) -> None:
        """Measures at once, and serves nothing yet.

        Args:
            address: Host and port of the endpoint, port 0 for a free one.
            code_of: Names the status code of an error.
            read_tasks: Names the tasks that are served.
            read_loads: Tells how busy each tier is; called by the thread that serves.
        """
        self._address = address
        self._code_of = code_of
        self._tasks = read_tasks
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)
        resource = Resource({"service.name": _SERVICE})
        self._provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        meter = self._provider.get_meter(_SERVICE)
        self._inspection_duration = meter.create_histogram(
            "loupe_inspection_duration",
            unit="s",
            description="From the arrival of a request to its end, by the tier that answered.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES_S,
        )
        self._tier_duration = meter.create_histogram(
            "loupe_tier_duration",
            unit="s",
            description="Runs of a tier that were answered, queueing included.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES_S,
        )
        self._degraded = meter.create_counter(
            "loupe_degraded_inspections", description="Answers weaker than the cascade wanted."
        )
        for name, description, value_of in (
            ("loupe_tier_in_flight", "Requests that run in a tier.", lambda load: load.in_flight),
            ("loupe_tier_waiting", "Requests that wait for a tier.", lambda load: load.waiting),
            ("loupe_tier_given_up", "1 while nobody is sent to a tier.", lambda load: int(load.is_given_up)),
        ):
            meter.create_observable_gauge(name, [_observing(read_loads, value_of)], description=description)

    def start(self) -> str:
        """Serves, and returns the URL.

        Raises:
            OSError: The address is taken, or none of this machine.
        """
        host, _, port = self._address.rpartition(":")
        self._server, self._thread = start_http_server(int(port), host.strip("[]"), self._registry)
        return f"http://{host}:{self._server.server_port}/metrics"

    def stop(self) -> None:
        """Closes the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._provider.shutdown()

    def answered(self, inspection: Inspection) -> None:
        """Counts a request that was answered."""
        task, trace = inspection.release.task.id, inspection.trace
        tier, reason = trace.runs[-1].tier.tier, trace.stop_reason.value
        self._inspection_duration.record(
            trace.duration_s, {"task": task, "tier": tier, "stop_reason": reason, "code": "OK"}
        )
        for run in trace.runs:
            self._tier_duration.record(run.duration_s, {"task": task, "tier": run.tier.tier})
        if trace.degraded:
            self._degraded.add(1, {"task": task, "tier": tier, "stop_reason": reason})

    def failed(self, task: str, error: BaseException, duration_s: float) -> None:
        """Counts a request that was not answered."""
        code = "CANCELLED" if isinstance(error, asyncio.CancelledError) else self._code_of(error)
        task_id = task.removeprefix("tasks/")
        known = task_id if task_id in self._tasks() else _NONE
        labels = {"task": known, "tier": _NONE, "stop_reason": _NONE, "code": code}
        self._inspection_duration.record(duration_s, labels)


def _observing(
    read_loads: Callable[[], Iterable[TierLoad]], value_of: Callable[[TierLoad], int]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """Returns a callback that reads one figure of each tier."""
    return lambda _: [
        Observation(value_of(load), {"model": load.model, "tier": load.tier}) for load in tuple(read_loads())
    ]
