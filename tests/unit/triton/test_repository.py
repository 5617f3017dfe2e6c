"""The files of a tier's models."""

from pathlib import Path

import pytest
from builders import TASK
from toy_engine import toy_spec

from server.triton.repository import Target, TierModelSpec, remove_tier_models, write_tier_models


@pytest.fixture
def spec(tmp_path: Path) -> TierModelSpec:
    """A tier whose engine is a file with some bytes."""
    engine = tmp_path / "engine.onnx"
    engine.write_bytes(b"an engine")
    return toy_spec(TASK, engine)


def files(repository: Path) -> set[str]:
    """Returns all files below a directory."""
    return {str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()}


def test_container_layout_holds_the_engine(spec: TierModelSpec, tmp_path: Path) -> None:
    """The committed layout is complete: it holds a copy of the engine, and git keeps every directory."""
    write_tier_models(spec, tmp_path / "triton", target=Target.CONTAINER)
    assert files(tmp_path / "triton") == {
        "bread_r1_fast/config.pbtxt",
        "bread_r1_fast/1/.gitkeep",
        "bread_r1_fast_preprocess/config.pbtxt",
        "bread_r1_fast_preprocess/1/model.py",
        "bread_r1_fast_engine/config.pbtxt",
        "bread_r1_fast_engine/1/model.onnx",
    }
    assert (tmp_path / "triton/bread_r1_fast_engine/1/model.onnx").read_bytes() == b"an engine"


def test_embedded_layout_points_to_the_engine(spec: TierModelSpec, tmp_path: Path) -> None:
    """The private layout copies no engine."""
    write_tier_models(spec, tmp_path / "triton", target=Target.EMBEDDED)
    assert "bread_r1_fast_engine/1/model.py" in files(tmp_path / "triton")
    assert not list((tmp_path / "triton").rglob("*.onnx"))


def test_a_model_is_replaced_whole(spec: TierModelSpec, tmp_path: Path) -> None:
    """Writing again leaves nothing of what was there."""
    write_tier_models(spec, tmp_path / "triton", target=Target.CONTAINER)
    write_tier_models(spec, tmp_path / "triton", target=Target.EMBEDDED)
    assert "bread_r1_fast_engine/1/model.onnx" not in files(tmp_path / "triton")


def test_removing_takes_the_tier_and_nothing_else(spec: TierModelSpec, tmp_path: Path) -> None:
    """Another release's models stay."""
    other = toy_spec(TASK, spec.engine_path, model="bread_r2_fast")
    for each in (spec, other):
        write_tier_models(each, tmp_path / "triton", target=Target.EMBEDDED)
    remove_tier_models(spec, tmp_path / "triton")
    assert {path.name for path in (tmp_path / "triton").iterdir()} == {other.model, *other.steps}
