"""Building against the real Triton: what it is calibrated and verified on is what will be served."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_build import outputs_without_triton, small_plan, trained_plan

from build_engines.calibrate import calibrate
from build_engines.cascade import read_solved, solve
from build_engines.cascade_solver import PromiseKind, SelectivePromise
from build_engines.checkpoint import read_held_out
from build_engines.compile import compile_engine
from build_engines.errors import GatesFailedError
from build_engines.export import export
from build_engines.plan import ReleasePlan
from build_engines.publish import publish
from build_engines.report import report
from build_engines.served_answers import STEP, _facts, verify_release
from build_engines.served_outputs import ServedOutputs, outputs_path
from build_engines.step_record import StepRecord
from build_engines.verify import verify
from server.triton.known_answer import BLOCKS

pytestmark = pytest.mark.integration


async def test_two_tiny_tiers_become_a_release(tmp_path: Path) -> None:
    """Outputs through the ensembles equal those of the engines alone; costs are measured; few labels stop a release."""
    fast = small_plan(tmp_path)
    plan = ReleasePlan((fast, trained_plan(tmp_path, "full", size_px=96, views=4)))
    for tier in plan.tiers:
        export(tier)
        engine = compile_engine(tier)
        followed: list[int] = []
        await calibrate(tier, on_photo=lambda done, _, seen=followed: seen.append(done))  # type: ignore[misc]
        photos = read_held_out(tier.checkpoint, "val_calib")
        served = ServedOutputs.load(
            outputs_path(tier, "val_calib"), engine_sha256=engine.sha256, photos_sha256=photos.sha256
        )
        direct = outputs_without_triton(tier, engine, photos)
        assert served is not None
        for head, logits in served.logits.items():
            assert np.allclose(logits, direct.logits[head], atol=1e-3)
        assert np.allclose(served.feature_distances, direct.feature_distances, atol=1e-3)
        assert followed == list(range(1, len(photos.paths) + 1))

    solved = await solve(plan)
    assert solved == read_solved(plan)
    assert 0 < solved.costs.alone_ms["fast"] < solved.costs.alone_ms["full"]
    for tier in plan.tiers:
        verified = await verify(tier)
        assert len(verified.known_answer.block_means) == BLOCKS * BLOCKS * 3
        assert set(verified.known_answer.photo_outputs) == set(tier.checkpoint.output_names)
    release = await verify_release(plan)
    assert {gate.finding for gate in release.gates if "insufficient" in gate.finding}
    with pytest.raises(GatesFailedError, match="insufficient"):
        publish(plan)

    record = StepRecord.read(plan.work_folder, STEP, command="")
    passed = _facts(replace(release, gates=tuple(replace(gate, passed=True) for gate in release.gates)))
    record.model_copy(update={"facts": passed}).write(plan.work_folder)
    page = report(plan).path.read_text("utf-8")
    published = publish(plan).release
    assert published.tier_ids == ("fast", "full")
    assert published.tiers[0].deciders == solved.deciders["fast"]
    assert published.tiers[0].thresholds == solved.thresholds["fast"]
    assert "For each decision head, accuracy is at most 2% below the strongest tier" in page
    assert "cost_product_type.svg" in page

    # The same engines under another promise, which even untrained networks keep: only the solving is done again.
    selective = replace(plan, promise=SelectivePromise(0.95, 0.1, unanswered_cost_ms=1_000.0))
    sure = await solve(selective)
    assert sure.promise is not None
    assert sure.promise.kind is PromiseKind.SELECTIVE
    release = await verify_release(selective)
    assert release.cascade is not None
    assert 0 < release.cascade.covered.mean <= 1
    assert max(sure.thresholds["full"].values()) <= 1
    assert [gate for gate in release.gates if "wrong where it was sure enough" in gate.name]
    assert "--promise selective --epsilon 0.95 --delta 0.1 --person-ms 1000" in selective.command("release")
