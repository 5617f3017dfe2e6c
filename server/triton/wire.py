"""Triton's wire format: requests and answers as messages, failures as Loupe's errors. Pure; no I/O.

Tensors travel as raw bytes; a BYTES tensor is each item behind its length in four bytes.
"""

import struct
from collections.abc import Sequence

import grpc
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2 as pb

from server.domain.errors import BackendUnavailableError, DeadlineExpiredError, EngineFailedError, LoupeError
from server.triton.refusal import refusal_in
from server.triton.tier_models import IMAGE, PHOTO

MAX_MESSAGE_BYTES = 12 << 20

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_retries", 0),
    # After a restart of Triton the channel should find it at once, not after a growing backoff.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)

_LENGTH = struct.Struct("<I")
_TRITON_TYPES = {np.dtype(np.float32): "FP32", np.dtype(np.uint8): "UINT8"}
_RAW_INPUT_TAG = bytes([pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | 2])
"""The field's number and its wire type, length-delimited."""

_LOST = ("is not healthy", "unknown model", "is not ready")
"""What Triton says, under several codes, when a stub is dead or a model is not (yet, again) loaded."""

Array = npt.NDArray[np.float32] | npt.NDArray[np.uint8]


def photo_request(model: str, output_names: Sequence[str], *, count: int = 1) -> pb.ModelInferRequest:
    """Returns the request for some photos but for the photos themselves.

    Args:
        model: The ensemble.
        output_names: What is asked for.
        count: How many photos it will carry, at least 1.
    """
    return _request(model, PHOTO, "BYTES", [count, 1], output_names)


def pixels_request(model: str, output_names: Sequence[str], *, count: int, size_px: int) -> pb.ModelInferRequest:
    """Returns the request for some decoded photos but for the photos themselves.

    Args:
        model: The engine step of an ensemble.
        output_names: What is asked for.
        count: How many photos it will carry, at least 1.
        size_px: Their side.
    """
    return _request(model, IMAGE, "UINT8", [count, size_px, size_px, 3], output_names)


def serialized_with_photos(serialized_request: bytes, photos: Sequence[bytes]) -> bytes:
    """Returns a serialized `photo_request` with its photos, which are copied once and not three times.

    Serialized messages may be extended by appending fields: here `raw_input_contents`, the
    BYTES tensor of one item a photo.
    """
    items: list[bytes | memoryview] = []
    for photo in photos:
        items += (_LENGTH.pack(len(photo)), photo)
    return _with_raw_input(serialized_request, items)


def serialized_with_pixels(serialized_request: bytes, photos: Sequence[memoryview]) -> bytes:
    """Returns a serialized `pixels_request` with its photos, likewise."""
    return _with_raw_input(serialized_request, photos)


def photo_bytes(photo: bytes) -> bytes:
    """Returns one photo as a BYTES tensor of one item."""
    return _LENGTH.pack(len(photo)) + photo


def tensor_request(model: str, name: str, tensor: Array) -> pb.ModelInferRequest:
    """Returns a request that sends one tensor, its first axis the batch, and asks for all outputs."""
    request = pb.ModelInferRequest(model_name=model, raw_input_contents=[np.ascontiguousarray(tensor).tobytes()])
    request.inputs.add(name=name, datatype=_TRITON_TYPES[tensor.dtype], shape=tensor.shape)
    return request


def outputs_of(response: pb.ModelInferResponse) -> dict[str, Array]:
    """Returns the outputs of a response by name: views of its bytes, read-only, shaped, batch first.

    Raises:
        EngineFailedError: The response contradicts itself.
    """
    try:
        return {
            output.name: _tensor(raw, output)
            for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }
    except ValueError as error:
        raise EngineFailedError(response.model_name, f"malformed response: {error}") from error


def domain_error(error: grpc.RpcError, model: str) -> LoupeError:
    """Translates a failed call to a model into the error that the rest of Loupe knows."""
    code, details = error.code(), error.details() or ""
    if (refusal := refusal_in(details)) is not None:
        return refusal
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExpiredError(f"{model} did not answer in the time allowed")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or any(each in details for each in _LOST):
        return BackendUnavailableError(f"{model}: {details}")
    return EngineFailedError(model, details)


def _request(
    model: str, input_name: str, datatype: str, shape: Sequence[int], output_names: Sequence[str]
) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name=input_name, datatype=datatype, shape=shape)
    for name in output_names:
        request.outputs.add(name=name)
    return request


def _with_raw_input(serialized_request: bytes, items: Sequence[bytes | memoryview]) -> bytes:
    return b"".join((serialized_request, _RAW_INPUT_TAG, _varint(sum(map(len, items))), *items))


def _varint(value: int) -> bytes:
    """Returns a number as protobuf writes lengths: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004 -- seven bits
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _tensor(raw: bytes, output: pb.ModelInferResponse.InferOutputTensor) -> Array:
    if output.datatype == "FP32":
        return np.frombuffer(raw, np.float32).reshape(output.shape)
    if output.datatype == "UINT8":
        return np.frombuffer(raw, np.uint8).reshape(output.shape)
    raise ValueError(f"output {output.name} has the type {output.datatype}")
