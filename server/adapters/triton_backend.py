"""Triton as the gateway's backend, embedded or remote: fed with releases, watched, and asked for predictions."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from server.domain.errors import BackendUnavailableError
from server.domain.ports import Engines, Tracer
from server.domain.prediction import Photo, RawPrediction, Wanted
from server.domain.release import EngineRef, Release
from server.triton.backend_state import BackendState
from server.triton.batches import BatchingEngines, BatchLimits
from server.triton.client import TritonClient
from server.triton.embedded import EmbeddedTriton, EmbeddedTritonOptions
from server.triton.engines import TritonEngines
from server.triton.known_answer import ServedTier
from server.triton.remote import RemoteTriton
from server.triton.supervisor import SupervisorOptions, TritonSupervisor
from server.triton.tier_models import TierModelSpec

_STEPS = 2


class TritonBackend:
    """Implements `server.domain.ports.Engines` and `server.app.Backend`."""

    def __init__(
        self,
        *,
        model_repository: Path,
        run_root: Path,
        instance_count: int,
        batch_size: int,
        tracer: Tracer | None = None,
        trace_url: str | None = None,
        address: str | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            model_repository: What the paths in releases are relative to.
            run_root: Where the private run directory is made.
            instance_count: Instances of each step of a tier.
            batch_size: Photos that travel to Triton in one call, if they wait together.
            tracer: Surrounds each call of Triton.
            trace_url: Where the embedded Triton sends its own spans; None for nowhere.
            address: Of a Triton that somebody else runs; None to run the embedded one.
        """
        self._address = address
        self._tracer = tracer
        self._trace_url = trace_url
        self._model_repository = model_repository
        self._run_root = run_root
        self._instance_count = instance_count
        self._batch_size = batch_size
        self._parts = AsyncExitStack()
        self._supervisor: TritonSupervisor | RemoteTriton | None = None
        self._engines: Engines | None = None

    async def start(self) -> None:
        """Starts Triton, and whoever watches it.

        Raises:
            TritonSetupError: This machine or environment cannot run it, or it does not become ready.
        """
        options = SupervisorOptions(instance_count=self._instance_count)
        supervisor: TritonSupervisor | RemoteTriton
        if self._address is None:
            triton = EmbeddedTriton(EmbeddedTritonOptions(run_root=self._run_root, trace_url=self._trace_url))
            await self._parts.enter_async_context(triton)
            address, supervisor = triton.address, TritonSupervisor(triton, options)
        else:
            client = await self._parts.enter_async_context(TritonClient(self._address))
            address, supervisor = self._address, RemoteTriton(client, options)
        self._supervisor = await self._parts.enter_async_context(supervisor)
        engines = await self._parts.enter_async_context(TritonEngines(address, self._tracer))
        instances = self._instance_count
        limits = BatchLimits(calls=_STEPS * instances, pixel_calls=instances, photos=self._batch_size)
        self._engines = BatchingEngines(engines, limits)

    async def stop(self) -> None:
        """Stops everything that was started; nothing is left of it."""
        self._supervisor = self._engines = None
        await self._parts.aclose()

    async def deploy(self, release: Release) -> None:
        """Loads the tiers of a release, and proves them by their known answers.

        Raises:
            ReleaseRefusedError: A model cannot be loaded, or a known answer is wrong.
            BackendUnavailableError: Triton is gone.
        """
        tiers = [
            ServedTier(
                spec=TierModelSpec.from_release(release.task, tier.engine, repository_root=self._model_repository),
                known_answer=tier.known_answer,
                photo=(self._model_repository / tier.known_answer.photo_path).read_bytes(),
            )
            for tier in release.tiers
        ]
        await self._started().deploy(*tiers)

    def subscribe(self, listener: Callable[[bool], None]) -> None:
        """Tells `listener` whether the backend serves, now and at each change, in the event loop."""
        self._started().subscribe(lambda state: listener(state is BackendState.SERVING))

    async def infer(self, engine: EngineRef, photo: Photo, wanted: Wanted, *, timeout_s: float) -> RawPrediction:
        """Runs one engine on one photo; see the port."""
        if self._engines is None or self._supervisor is None:
            raise BackendUnavailableError("Triton is not running")
        if self._supervisor.distrusts(engine.model):
            raise BackendUnavailableError(f"{engine.model} gave wrong known answers, and is being mended")
        return await self._engines.infer(engine, photo, wanted, timeout_s=timeout_s)

    def _started(self) -> TritonSupervisor | RemoteTriton:
        if self._supervisor is None:
            raise BackendUnavailableError("Triton is not running")
        return self._supervisor
