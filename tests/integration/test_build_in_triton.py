"""Building against the real Triton: what it is calibrated and verified on is what will be served."""

from pathlib import Path

import numpy as np
import pytest
from small_build import outputs_without_triton, small_plan

from build_engines.calibrate import calibrate
from build_engines.checkpoint import read_held_out
from build_engines.compile import compile_engine
from build_engines.export import export
from build_engines.served_outputs import ServedOutputs, outputs_path
from build_engines.verify import verify
from server.triton.known_answer import BLOCKS

pytestmark = pytest.mark.integration


async def test_a_tiny_network_is_calibrated_and_verified_in_triton(tmp_path: Path) -> None:
    """Outputs through the ensemble equal those of the engine alone; few labels are said to be few."""
    plan = small_plan(tmp_path)
    export(plan)
    engine = compile_engine(plan)
    followed: list[int] = []
    calibrated = await calibrate(plan, on_photo=lambda done, _: followed.append(done))
    photos = read_held_out(plan.checkpoint, "val_calib")
    served = ServedOutputs.load(
        outputs_path(plan, "val_calib"), engine_sha256=engine.sha256, photos_sha256=photos.sha256
    )
    direct = outputs_without_triton(plan, engine, photos)
    assert served is not None
    for head, logits in served.logits.items():
        assert np.allclose(logits, direct.logits[head], atol=1e-3)
    assert np.allclose(served.feature_distances, direct.feature_distances, atol=1e-3)
    assert followed == list(range(1, len(photos.paths) + 1))

    verified = await verify(plan)
    assert verified.calibrated == calibrated
    assert len(verified.known_answer.block_means) == BLOCKS * BLOCKS * 3
    assert set(verified.known_answer.photo_outputs) == set(plan.checkpoint.output_names)
    assert {gate.finding for gate in verified.gates if "insufficient" in gate.finding}
