"""A whole release on disk, made in milliseconds: toy engines, with calibrators and known answers that are right."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
from builders import TASK, make_meaning
from toy_engine import GRID, SIZE_PX, toy_photo, write_toy_engine

from server.adapters.release_files import RELEASE_NAME, dump_release
from server.domain.known_answer import KnownAnswer
from server.domain.release import EngineRef, Release, TierRelease
from server.imaging import prepare
from server.triton.known_answer import block_means, pattern_of

PHOTO_NAME = "known_answer.jpg"


def write_toy_release(model_repository: Path, *tiers: str, number: int = 1, threshold: float = 0.9) -> Release:
    """Writes a release of the bread task, ready to be served.

    Args:
        model_repository: Its root; made if it does not exist.
        tiers: Cheapest first; `fast` alone if none is named.
        number: The release's number.
        threshold: The confidence that suffices in every tier and decision head.
    """
    folder = model_repository / "releases" / TASK.id / str(number)
    folder.mkdir(parents=True)
    photo = toy_photo()
    (folder / PHOTO_NAME).write_bytes(photo)
    photo_path = str((folder / PHOTO_NAME).relative_to(model_repository))
    release = Release(
        TASK,
        number,
        tuple(
            _tier(model_repository, tier, number, photo, photo_path, threshold, seed)
            for seed, tier in enumerate(tiers or ("fast",))
        ),
    )
    files = {photo_path: sha256(photo).hexdigest()} | {each.engine.path: each.engine.sha256 for each in release.tiers}
    (folder / RELEASE_NAME).write_text(dump_release(release, files=files, metrics={}, provenance={}))
    return release


def _tier(
    model_repository: Path, tier: str, number: int, photo: bytes, photo_path: str, threshold: float, seed: int
) -> TierRelease:
    model = f"{TASK.id}_r{number}_{tier}"
    engine_path = model_repository / "triton" / f"{model}_engine" / "1" / "model.onnx"
    engine_path.parent.mkdir(parents=True)
    write_toy_engine(engine_path, TASK, seed=seed)
    digest = sha256(engine_path.read_bytes()).hexdigest()
    image = prepare(photo, size_px=SIZE_PX)
    return TierRelease(
        tier=tier,
        engine=EngineRef(
            model, "fp32", digest, str(engine_path.relative_to(model_repository)), SIZE_PX, GRID, gives_pixels=True
        ),
        meaning=make_meaning(digest),
        thresholds=dict.fromkeys(TASK.decision_heads, threshold),
        known_answer=KnownAnswer(
            photo_path,
            sha256(photo).hexdigest(),
            tuple(block_means(image).ravel().tolist()),
            _outputs(engine_path, pattern_of(SIZE_PX)),
            _outputs(engine_path, image),
        ),
    )


def _outputs(engine_path: Path, image: np.ndarray) -> dict[str, tuple[float, ...]]:
    session = onnxruntime.InferenceSession(engine_path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    values = session.run(names, {"image": image[np.newaxis]})
    return {name: tuple(each.ravel().tolist()) for name, each in zip(names, values, strict=True)}
