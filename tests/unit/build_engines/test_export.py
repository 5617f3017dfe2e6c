"""Checkpoint, export and compile: nothing damaged gets in, and nothing that answers otherwise gets out."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from small_build import plan_of, trained_plan
from small_dataset import SIZE_PX, write_small_dataset

from build_engines.checkpoint import latest_checkpoint, open_checkpoint, read_held_out
from build_engines.compile import CompiledEngine, compile_engine, read_engine
from build_engines.errors import CheckpointRefusedError, ParityError, StepMissingError
from build_engines.export import export, read_exported
from build_engines.parity import check_parity, load_images, onnx_runner
from build_engines.plan import TierPlan
from build_engines.served_outputs import engine_ref, tier_spec
from server.domain.framing import Framing


def test_an_engine_has_the_promised_signature(plan: TierPlan, engine: CompiledEngine) -> None:
    """`image` is uint8 NHWC with a free batch; outputs are named after heads; only standard operators are used."""
    model = onnx.load(engine.path)
    assert [each.name for each in model.graph.input] == ["image"]
    tensor = model.graph.input[0].type.tensor_type
    assert tensor.elem_type == onnx.TensorProto.UINT8
    assert [each.dim_param or each.dim_value for each in tensor.shape.dim] == ["batch", 32, 32, 3]
    assert tuple(each.name for each in model.graph.output) == plan.checkpoint.output_names
    assert {each.domain for each in model.opset_import} == {""}


def test_export_and_engine_agree_with_the_network(engine: CompiledEngine, plan: TierPlan) -> None:
    """Both steps say how far they are off, for every output: next to nothing, or as little as halves allow."""
    exact, halves, _ = engine.candidates
    for differences in (read_exported(plan).differences, exact.differences):
        assert tuple(differences) == plan.checkpoint.output_names
        assert max(differences.values()) < 1e-3
    assert max(halves.differences[head] for head in plan.checkpoint.task.head_ids) < 1e-3


def test_half_weights_lie_in_the_file_and_are_whole_in_use(engine: CompiledEngine) -> None:
    """The kernels of an engine of halves are float16, and nothing else is; it is smaller than at full precision."""
    exact, halves, _ = engine.candidates
    assert halves.precision == "fp32, weights fp16"
    assert halves.size_bytes < 0.8 * exact.size_bytes
    assert halves.refused == ""
    assert min(halves.agreement.values()) > 0.99


def test_eight_bits_need_photos_for_their_ranges(plan: TierPlan, tmp_path: Path) -> None:
    """A checkpoint that lists none gets no engine whose ranges are a guess."""
    folder = tmp_path / "old"
    shutil.copytree(plan.checkpoint.folder, folder)
    (folder / "range_photos.jsonl").unlink()
    told = json.loads((folder / "checkpoint.json").read_text("utf-8"))
    del told["files"]["range_photos.jsonl"]
    (folder / "checkpoint.json").write_text(json.dumps(told), encoding="utf-8")
    old = replace(plan, checkpoint=open_checkpoint(folder), work_folder=tmp_path / "work")
    export(old)
    assert [each.precision for each in compile_engine(old).candidates] == ["fp32", "fp32, weights fp16"]


def test_whole_photos_stay_whole_up_to_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network was trained on is what its engine is compared on, and what Triton and the release are told."""
    write_small_dataset(tmp_path / "data", photos_a_split={"train": 24, "val_select": 8, "val_calib": 8, "val_test": 8})
    whole = trained_plan(tmp_path, "fast", size_px=SIZE_PX, framing=Framing.WHOLE)
    seen: list[Framing] = []

    def load(paths: Sequence[Path], *, size_px: int, framing: Framing) -> npt.NDArray[np.uint8]:
        seen.append(framing)
        return load_images(paths, size_px=size_px, framing=framing)

    monkeypatch.setattr("build_engines.export.load_images", load)
    monkeypatch.setattr("build_engines.compile.load_images", load)
    export(whole)
    engine = compile_engine(whole)
    assert len(seen) == 3
    told = (whole.checkpoint.file.network.framing, tier_spec(whole, engine).framing, engine_ref(whole, engine).framing)
    assert {*seen, *told} == {Framing.WHOLE}


def test_a_model_that_answers_otherwise_is_refused(plan: TierPlan, engine: CompiledEngine) -> None:
    """Parity names the output that is off."""
    images = load_images(read_held_out(plan.checkpoint, "val_calib").paths[:4], size_px=32, framing=Framing.CENTRE)
    honest = onnx_runner(engine.path)

    def shifted(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {name: value + (name == "quality_grade") * 0.1 for name, value in honest(batch).items()}

    with pytest.raises(ParityError, match="quality_grade") as refused:
        check_parity("compile", reference=honest, converted=shifted, images=images, tolerance=1e-3)
    assert refused.value.difference == pytest.approx(0.1, rel=1e-3)


def test_a_model_that_answers_nan_is_refused(plan: TierPlan, engine: CompiledEngine) -> None:
    """A NaN is no small difference."""
    images = load_images(read_held_out(plan.checkpoint, "val_calib").paths[:2], size_px=32, framing=Framing.CENTRE)
    honest = onnx_runner(engine.path)
    with pytest.raises(ParityError):
        check_parity(
            "compile",
            reference=honest,
            converted=lambda batch: {name: value * np.nan for name, value in honest(batch).items()},
            images=images,
            tolerance=1e-3,
        )


def test_a_changed_artefact_is_no_step(plan: TierPlan, engine: CompiledEngine, tmp_path: Path) -> None:
    """A file that is not what the step wrote sends one back to the step."""
    work = tmp_path / "work"
    shutil.copytree(engine.path.parent, work)
    (work / "engine.onnx").write_bytes(b"changed")
    moved = TierPlan(plan.checkpoint, 1, work, plan.model_repository)
    with pytest.raises(StepMissingError, match="loupe-build compile cannabis --tier fast --number 1"):
        read_engine(moved)


def test_work_on_another_checkpoint_is_no_step(plan: TierPlan, engine: CompiledEngine, tmp_path: Path) -> None:
    """What was exported from one checkpoint is not taken for the export of another."""
    assert engine
    other = tmp_path / "other"
    shutil.copytree(plan.checkpoint.folder, other)
    path = other / "checkpoint.json"
    path.write_text(path.read_text("utf-8") + " ", encoding="utf-8")
    moved = TierPlan(open_checkpoint(other), 1, plan.work_folder, plan.model_repository)
    with pytest.raises(StepMissingError, match="another checkpoint"):
        read_exported(moved)


def test_a_damaged_checkpoint_is_refused_with_all_findings(plan: TierPlan, tmp_path: Path) -> None:
    """One file changed and one gone: both are named."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(plan.checkpoint.folder, folder)
    (folder / "program.pt2").write_bytes(b"changed")
    (folder / "val_test.jsonl").unlink()
    with pytest.raises(CheckpointRefusedError) as refused:
        plan_of(folder, tmp_path)
    assert refused.value.findings == ("program.pt2 is damaged", "val_test.jsonl is missing")


def test_a_malformed_checkpoint_is_refused(plan: TierPlan, tmp_path: Path) -> None:
    """A schema of another version is not guessed at."""
    content = json.loads((plan.checkpoint.folder / "checkpoint.json").read_text("utf-8"))
    (tmp_path / "checkpoint.json").write_text(json.dumps(content | {"schema_version": 2}), encoding="utf-8")
    with pytest.raises(CheckpointRefusedError, match="schema_version"):
        open_checkpoint(tmp_path)


def test_only_finished_runs_are_found(plan: TierPlan, tmp_path: Path) -> None:
    """A run folder without its seal is passed over."""
    runs = plan.checkpoint.folder.parent.parent.parent
    assert latest_checkpoint(runs, task="cannabis", tier="fast") == plan.checkpoint.folder
    (tmp_path / "cannabis" / "fast" / "20990101T000000Z").mkdir(parents=True)
    with pytest.raises(CheckpointRefusedError):
        latest_checkpoint(tmp_path, task="cannabis", tier="fast")


def test_held_out_photos_come_with_truth_and_its_limit(plan: TierPlan) -> None:
    """Labels, specimens and the best possible accuracy are read from the list beside the checkpoint."""
    photos = read_held_out(plan.checkpoint, "val_test")
    assert len(photos.paths) == 420
    assert len(np.unique(photos.groups)) == 210
    assert photos.labels["attributes"].shape == (420, 10)
    assert photos.best_accuracies == pytest.approx({"product_type": 0.9, "quality_grade": 0.2, "attributes": 0.5})
