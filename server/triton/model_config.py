"""Builds the `config.pbtxt` of a tier's models: Triton's own messages in, text out, no string templates.

Queue policies are left out on purpose: the gateway holds the queue. Steps name version 1,
never "the latest": one config serves all versions of a model, so the release is in the name.
"""

from collections.abc import Mapping, Sequence

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from server.domain.framing import Framing
from server.triton.tier_models import DECODED, IMAGE, PHOTO, Target, TierModelSpec

MEMORY_LIMIT_BYTES = 3 << 30
"""Address space of a preprocessing process: 50 megapixels take up to 1.1 GiB (RGBA), its libraries 0.3 GiB."""

_VERSION = 1


def preprocess_config(spec: TierModelSpec, *, instance_count: int) -> str:
    """Returns the config of the step that decodes, orients, makes a square and resizes."""
    config = pb.ModelConfig(name=spec.preprocess_model, backend="python", max_batch_size=spec.max_batch_size)
    config.input.append(pb.ModelInput(name=PHOTO, data_type=pb.TYPE_STRING, dims=[1]))
    config.output.append(_output(IMAGE, spec.image_shape, data_type=pb.TYPE_UINT8))
    if spec.gives_pixels:
        config.output.append(_decoded())
    _set_instances(config, pb.ModelInstanceGroup.KIND_CPU, instance_count)
    asked = {"input_size_px": str(spec.input_size_px), "memory_limit_bytes": str(MEMORY_LIMIT_BYTES)}
    # The configs of earlier releases, which saw the centre, stay as they are.
    framing = {} if spec.framing is Framing.CENTRE else {"framing": spec.framing.value}
    _set_parameters(config, asked | framing)
    return _text(config)


def engine_config(spec: TierModelSpec, *, target: Target, instance_count: int) -> str:
    """Returns the config of the step that runs the compiled model."""
    config = pb.ModelConfig(name=spec.engine_model, max_batch_size=spec.max_batch_size)
    config.input.append(pb.ModelInput(name=IMAGE, data_type=pb.TYPE_UINT8, dims=spec.image_shape))
    config.output.extend(_float_outputs(spec))
    if target is Target.EMBEDDED:
        config.backend = "python"
        _set_instances(config, pb.ModelInstanceGroup.KIND_CPU, instance_count)
        _set_parameters(
            config,
            {"engine_path": str(spec.engine_path.absolute()), "output_names": ",".join(spec.output_shapes)},
        )
    else:
        config.backend = "onnxruntime"
        config.default_model_filename = "model.onnx"
        _set_instances(config, pb.ModelInstanceGroup.KIND_AUTO, instance_count)
        # No delay: a batch is what waits already. A GPU gains from it, and a CPU loses nothing.
        config.dynamic_batching.max_queue_delay_microseconds = 0
        _set_parameters(config, {"intra_op_thread_count": "1", "inter_op_thread_count": "1"})
    return _text(config)


def ensemble_config(spec: TierModelSpec) -> str:
    """Returns the config of the ensemble: the encoded photo in, the engine's outputs out, and perhaps its input."""
    config = pb.ModelConfig(name=spec.model, platform="ensemble", max_batch_size=spec.max_batch_size)
    config.input.append(pb.ModelInput(name=PHOTO, data_type=pb.TYPE_STRING, dims=[1]))
    config.output.extend(_float_outputs(spec))
    decoding = [IMAGE]
    if spec.gives_pixels:
        decoding.append(DECODED)
        config.output.extend([_output(IMAGE, spec.image_shape, data_type=pb.TYPE_UINT8), _decoded()])
    config.ensemble_scheduling.step.extend(
        [
            _step(spec.preprocess_model, inputs=[PHOTO], outputs=decoding),
            _step(spec.engine_model, inputs=[IMAGE], outputs=list(spec.output_shapes)),
        ]
    )
    return _text(config)


def _float_outputs(spec: TierModelSpec) -> list[pb.ModelOutput]:
    return [_output(name, shape, data_type=pb.TYPE_FP32) for name, shape in spec.output_shapes.items()]


def _decoded() -> pb.ModelOutput:
    return _output(DECODED, [1], data_type=pb.TYPE_UINT8)


def _output(name: str, dims: Sequence[int], *, data_type: int) -> pb.ModelOutput:
    return pb.ModelOutput(name=name, data_type=data_type, dims=dims)


def _step(model: str, *, inputs: Sequence[str], outputs: Sequence[str]) -> pb.ModelEnsembling.Step:
    return pb.ModelEnsembling.Step(
        model_name=model,
        model_version=_VERSION,
        input_map={name: name for name in inputs},
        output_map={name: name for name in outputs},
    )


def _set_instances(config: pb.ModelConfig, kind: int, count: int) -> None:
    config.instance_group.append(pb.ModelInstanceGroup(kind=kind, count=count))


def _set_parameters(config: pb.ModelConfig, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        config.parameters[name].string_value = value


def _text(config: pb.ModelConfig) -> str:
    return text_format.MessageToString(config)
