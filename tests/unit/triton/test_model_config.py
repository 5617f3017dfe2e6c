"""What Triton is told of a tier's models."""

from dataclasses import replace
from pathlib import Path

from builders import TASK, make_tier
from google.protobuf import text_format
from toy_engine import toy_spec
from tritonclient.grpc import model_config_pb2 as pb

from server.domain.framing import Framing
from server.triton.model_config import engine_config, ensemble_config, preprocess_config
from server.triton.repository import Target, TierModelSpec

SPEC = toy_spec(TASK, Path("/models/toy.onnx"))
OUTPUTS = {"kind": [3], "grade": [2], "signs": [2], "uncertainty": [2], "attention_map": [4, 4]}


def parsed(text: str) -> pb.ModelConfig:
    """Returns the config that Triton would read."""
    return text_format.Parse(text, pb.ModelConfig())


def test_ensemble_maps_photo_to_one_output_a_head() -> None:
    """The ensemble takes the encoded photo and offers every head, uncertainty, attention, and the decoded photo."""
    config = parsed(ensemble_config(SPEC))
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [("photo", pb.TYPE_STRING, [1])]
    assert {each.name: list(each.dims) for each in config.output} == OUTPUTS | {"image": [64, 64, 3], "decoded": [1]}
    assert {each.name for each in config.output if each.data_type != pb.TYPE_FP32} == {"image", "decoded"}


def test_ensemble_names_versions_of_its_steps() -> None:
    """No step says "latest": an older release would answer from a newer engine."""
    steps = parsed(ensemble_config(SPEC)).ensemble_scheduling.step
    assert [(each.model_name, each.model_version) for each in steps] == [
        ("bread_r1_fast_preprocess", 1),
        ("bread_r1_fast_engine", 1),
    ]


def test_no_model_has_a_queue_policy() -> None:
    """The gateway holds the queue; a policy makes this Triton idle half a second at a time."""
    for target in Target:
        texts = [preprocess_config(SPEC, instance_count=2), engine_config(SPEC, target=target, instance_count=2)]
        for text in (*texts, ensemble_config(SPEC)):
            assert not parsed(text).dynamic_batching.HasField("default_queue_policy")


def test_embedded_engine_runs_in_python_without_batching() -> None:
    """On the embedded server the engine is a Python model that opens the file where it lies."""
    config = parsed(engine_config(SPEC, target=Target.EMBEDDED, instance_count=3))
    assert config.backend == "python"
    assert not config.HasField("dynamic_batching")
    assert config.parameters["engine_path"].string_value == "/models/toy.onnx"
    assert config.parameters["output_names"].string_value.split(",") == list(OUTPUTS)
    assert [(each.kind, each.count) for each in config.instance_group] == [(pb.ModelInstanceGroup.KIND_CPU, 3)]


def test_container_engine_runs_in_onnxruntime_with_batching() -> None:
    """In the container the engine is Triton's own, on a GPU where there is one."""
    config = parsed(engine_config(SPEC, target=Target.CONTAINER, instance_count=2))
    assert config.backend == "onnxruntime"
    assert config.HasField("dynamic_batching")
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_AUTO


def test_preprocessing_is_a_limited_python_process_on_both() -> None:
    """Decoding happens in a process whose memory is limited."""
    config = parsed(preprocess_config(SPEC, instance_count=2))
    assert config.backend == "python"
    assert int(config.parameters["memory_limit_bytes"].string_value) >= 2 << 30
    assert list(config.output[0].dims) == [64, 64, 3]


def test_the_framing_reaches_the_preprocessing_step() -> None:
    """From the release, through the spec, into its parameters; the centre is what a step does that is not told."""
    for framing, told in ((Framing.CENTRE, ""), (Framing.WHOLE, "whole")):
        engine = replace(make_tier("fast").engine, framing=framing)
        spec = TierModelSpec.from_release(TASK, engine, repository_root=Path())
        config = parsed(preprocess_config(spec, instance_count=1))
        assert config.parameters["framing"].string_value == told


def test_spec_of_a_release_takes_the_engine_below_the_repository() -> None:
    """A release names its engine relative to the model repository."""
    engine = make_tier("fast").engine
    spec = TierModelSpec.from_release(TASK, engine, repository_root=Path("/srv/models"))
    assert spec.model == engine.model
    assert spec.heads == (("kind", 3), ("grade", 2), ("signs", 2))
    assert spec.engine_path == Path("/srv/models/triton/bread_r1_fast_engine/1/model.onnx")
