"""The outputs of an engine on held-out photos, taken from the very server that will serve it, and kept by digest."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from build_engines.checkpoint import HeldOutPhotos
from build_engines.compile import CompiledEngine
from build_engines.plan import TierPlan
from server.domain.calibration.calibrator import Calibrator
from server.domain.prediction import RawPrediction, Wanted
from server.domain.release import EngineRef
from server.triton.client import TritonClient
from server.triton.embedded import EmbeddedTriton
from server.triton.engines import TritonEngines
from server.triton.repository import write_tier_models
from server.triton.tier_models import Target, TierModelSpec, engine_model

IN_FLIGHT = 12
_TIMEOUT_S = 60.0
_DISTANCE, _VARIANCE = "uncertainty:feature_distance", "uncertainty:logit_variance"
_IDENTITY = "identity"

Follow = Callable[[int, int], None]
"""Called with (photos done, photos in all)."""


def unfollowed(_done: int, _total: int) -> None:
    """Follows nothing: the default."""


@dataclass(frozen=True, slots=True)
class ServedOutputs:
    """What one engine says about the photos of one split.

    Attributes:
        engine_sha256: The engine.
        photos_sha256: The list of photos, in whose order the arrays are.
        logits: By head id, [photo_count, label_count]. Raw engine outputs, float32; of fused tiers float64 scores.
        feature_distances: [photo_count] float32.
        logit_variances: [photo_count] float32.
    """

    engine_sha256: str
    photos_sha256: str
    logits: dict[str, npt.NDArray[np.float32] | npt.NDArray[np.float64]]
    feature_distances: npt.NDArray[np.float32]
    logit_variances: npt.NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Writes an npz, aside first: it is whole or missing."""
        identity = json.dumps({"engine": self.engine_sha256, "photos": self.photos_sha256})
        arrays = {
            **self.logits,
            _DISTANCE: self.feature_distances,
            _VARIANCE: self.logit_variances,
            _IDENTITY: np.array(identity),
        }
        aside = path.with_name(f".{path.name}")
        with aside.open("wb") as file:
            np.savez(file, **arrays)
        aside.rename(path)

    def taken(self, chosen: npt.NDArray[np.bool_]) -> "ServedOutputs":
        """Returns the outputs on some of the photos; `photos_sha256` still names the whole list.

        Args:
            chosen: [photo_count] bool.
        """
        return ServedOutputs(
            self.engine_sha256,
            self.photos_sha256,
            {head: logits[chosen] for head, logits in self.logits.items()},
            self.feature_distances[chosen],
            self.logit_variances[chosen],
        )

    def calibrated(self, calibrators: Mapping[str, Calibrator]) -> dict[str, npt.NDArray[np.float64]]:
        """Returns what these calibrators make of the logits: by head id, [photo_count, label_count] float64."""
        return {head: each.calibrate(self.logits[head]) for head, each in calibrators.items()}

    @classmethod
    def load(cls, path: Path, *, engine_sha256: str, photos_sha256: str) -> "ServedOutputs | None":
        """Reads an npz; None if there is none, or it is of another engine or of other photos."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            identity = json.loads(str(arrays.pop(_IDENTITY)))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            return None
        if identity != {"engine": engine_sha256, "photos": photos_sha256}:
            return None
        distances, variances = arrays.pop(_DISTANCE), arrays.pop(_VARIANCE)
        return cls(engine_sha256, photos_sha256, arrays, distances, variances)


@dataclass(frozen=True, slots=True)
class ServedEngine:
    """An engine in a running Triton.

    Attributes:
        spec: Its models.
        ref: How the gateway will name it.
        client: Speaks to that Triton.
        engines: The port that serves.
    """

    spec: TierModelSpec
    ref: EngineRef
    client: TritonClient
    engines: TritonEngines


@asynccontextmanager
async def serve(plan: TierPlan, engine: CompiledEngine) -> AsyncIterator[ServedEngine]:
    """Serves an engine in an embedded Triton of its own while the context lasts."""
    async with serve_all([(plan, engine)]) as [served]:
        yield served


@asynccontextmanager
async def serve_all(engines: Sequence[tuple[TierPlan, CompiledEngine]]) -> AsyncIterator[list[ServedEngine]]:
    """Serves engines together in an embedded Triton while the context lasts."""
    async with EmbeddedTriton() as triton:
        specs = [tier_spec(plan, engine) for plan, engine in engines]
        for spec in specs:
            write_tier_models(spec, triton.repository, target=Target.EMBEDDED)
            await triton.load(spec.model)
        async with TritonEngines(triton.address) as port:
            yield [
                ServedEngine(spec, engine_ref(plan, engine), triton.client, port)
                for spec, (plan, engine) in zip(specs, engines, strict=True)
            ]


async def collect_outputs(
    served: ServedEngine, photos: HeldOutPhotos, *, heads: tuple[str, ...], on_photo: Follow = unfollowed
) -> ServedOutputs:
    """Runs an engine on every photo of a split, `IN_FLIGHT` at a time.

    Raises:
        LoupeError: A photo is not answered.
    """
    gate = asyncio.Semaphore(IN_FLIGHT)
    wanted = Wanted(heads)
    done = 0

    async def ask(path: Path) -> RawPrediction:
        nonlocal done
        async with gate:
            content = await asyncio.to_thread(path.read_bytes)
            raw = await served.engines.infer(served.ref, content, wanted, timeout_s=_TIMEOUT_S)
        done += 1
        on_photo(done, len(photos.paths))
        return raw

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(path)) for path in photos.paths]
    answers = [task.result() for task in tasks]
    return ServedOutputs(
        engine_sha256=served.ref.sha256,
        photos_sha256=photos.sha256,
        logits={head: np.stack([each.logits[head] for each in answers]).astype(np.float32) for head in heads},
        feature_distances=np.array([each.feature_distance for each in answers], dtype=np.float32),
        logit_variances=np.array([each.logit_variance for each in answers], dtype=np.float32),
    )


def outputs_path(plan: TierPlan, split: str) -> Path:
    """Where the outputs on a split are kept."""
    return plan.work_folder / f"outputs_{split}.npz"


def tier_spec(plan: TierPlan, engine: CompiledEngine) -> TierModelSpec:
    """Describes the tier to Triton."""
    file = plan.checkpoint.file
    return TierModelSpec(
        model=plan.model,
        input_size_px=file.network.input_size_px,
        heads=tuple((head.id, len(head.labels)) for head in plan.checkpoint.task.heads),
        attention_grid=file.attention_grid,
        engine_path=engine.path,
        gives_pixels=True,
        framing=file.network.framing,
    )


def engine_ref(plan: TierPlan, engine: CompiledEngine) -> EngineRef:
    """Names the engine as the release will."""
    file = plan.checkpoint.file
    return EngineRef(
        model=plan.model,
        precision=engine.precision,
        sha256=engine.sha256,
        path=f"{plan.triton_folder.name}/{engine_model(plan.model)}/1/model.onnx",
        input_size_px=file.network.input_size_px,
        attention_grid=file.attention_grid,
        gives_pixels=True,
        framing=file.network.framing,
    )
