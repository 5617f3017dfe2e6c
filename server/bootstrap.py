"""Puts the gateway together: the only file that knows which class stands behind each role."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from server.adapters.clock import SystemClock
from server.adapters.metrics import Metrics
from server.adapters.newest_releases import load_newest_releases
from server.adapters.tracing import TRACES_PATH, OpenTelemetryTracer
from server.adapters.triton_backend import TritonBackend
from server.app import App, StartError
from server.domain.answer import RecommendationBounds
from server.domain.inspection_id import InspectionIds
from server.rpc.inspection_servicer import InspectionServicer
from server.rpc.interceptors import CallInterceptor, OnCall
from server.rpc.server import GatewayServer, ServerOptions, TlsFiles
from server.rpc.status import row_of
from server.rpc.task_servicer import TaskServicer
from server.service.admission import AdmissionLimits
from server.service.catalog import Catalog
from server.service.deadline import DeadlinePolicy
from server.service.door import Door
from server.service.router import Router, RouterOptions
from server.service.tier_runner import TierLimits
from server.settings import Settings

_RANDOM_KEY_BYTES = 32


def build_app(settings: Settings, on_call: OnCall) -> App:
    """Returns the gateway that the settings describe; must be called in the event loop that will run it.

    Args:
        settings: What to serve, and how.
        on_call: Is told of each call that has ended.
    """
    clock, catalog, door = SystemClock(), Catalog(), Door()
    tracer = _tracer(settings)
    backend = TritonBackend(
        model_repository=settings.model_repository,
        run_root=settings.run_root,
        instance_count=settings.instance_count,
        batch_size=settings.batch_size,
        address=settings.triton_address,
        tracer=tracer,
        trace_url=None if settings.otlp_endpoint is None else settings.otlp_endpoint.rstrip("/") + TRACES_PATH,
    )
    router = Router(
        engines=backend,
        catalog=catalog,
        door=door,
        ids=InspectionIds(_inspection_key(settings)),
        clock=clock,
        options=_router_options(settings),
        tracer=tracer,
    )
    metrics = Metrics(
        settings.metrics_listen,
        code_of=lambda error: row_of(error).code.name,
        read_tasks=catalog.task_ids,
        read_loads=router.loads,
    )
    deadlines = DeadlinePolicy(settings.default_deadline_s, settings.longest_deadline_s)
    server = GatewayServer(
        # What it does not implement yet, the interceptor refuses.
        inspection=InspectionServicer(  # type: ignore[abstract]
            router,
            deadlines=deadlines,
            clock=clock,
            stream_in_flight=settings.stream_in_flight,
            observer=metrics,
        ),
        task=TaskServicer(catalog, door),
        interceptor=CallInterceptor(clock, on_call, tracer),
        options=ServerOptions(
            address=settings.listen, max_concurrent_calls=settings.max_concurrent_calls, tls=_tls_files(settings)
        ),
    )
    return App(
        server=server,
        backend=backend,
        load_releases=partial(load_newest_releases, settings.model_repository),
        catalog=catalog,
        door=door,
        drain_grace_s=settings.drain_grace_s,
        surroundings=_watched(metrics, settings.metrics_listen, tracer),
    )


@contextmanager
def _watched(metrics: Metrics, address: str, tracer: OpenTelemetryTracer | None) -> Iterator[None]:
    """Offers metrics and sends traces while the gateway runs."""
    with ExitStack() as watchers:
        if tracer is not None:
            watchers.callback(tracer.stop)
        if address:
            try:
                metrics.start()
            except OSError as error:
                raise StartError(
                    f"Metrics cannot be offered on {address}: {error.strerror}.",
                    cure="Choose another address, or none: LOUPE_METRICS_LISTEN= loupe serve",
                ) from error
            watchers.callback(metrics.stop)
        yield


def _tracer(settings: Settings) -> OpenTelemetryTracer | None:
    if settings.otlp_endpoint is None:
        return None
    return OpenTelemetryTracer(settings.otlp_endpoint, share=settings.trace_share)


def _router_options(settings: Settings) -> RouterOptions:
    return RouterOptions(
        bounds=RecommendationBounds(
            accept=settings.recommend_accept,
            likely=settings.recommend_likely,
            retake_suggested=settings.recommend_retake_suggested,
        ),
        tier=TierLimits(
            admission=AdmissionLimits(settings.admission_in_flight, settings.admission_waiting),
            answer_reserve_s=settings.answer_reserve_s,
            patience_s=settings.escalation_patience_s,
        ),
        backlog=2 * settings.instance_count if settings.escalation_backlog is None else settings.escalation_backlog,
    )


def _inspection_key(settings: Settings) -> bytes:
    if settings.inspection_key is None:
        return secrets.token_bytes(_RANDOM_KEY_BYTES)
    return settings.inspection_key.get_secret_value().encode()


def _tls_files(settings: Settings) -> TlsFiles | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return TlsFiles(settings.tls_certificate, settings.tls_key)
