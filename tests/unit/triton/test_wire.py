"""Triton's messages and failures, translated."""

import struct

import grpc
import grpc.aio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from server.domain.errors import (
    BackendUnavailableError,
    DeadlineExpiredError,
    EngineFailedError,
    LoupeError,
    PhotoRefusedError,
)
from server.domain.prediction import Wanted
from server.triton.engines import raw_predictions
from server.triton.refusal import refusal_text
from server.triton.wire import (
    domain_error,
    outputs_of,
    photo_bytes,
    photo_request,
    pixels_request,
    serialized_with_photos,
    serialized_with_pixels,
    tensor_request,
)

SIZE_PX = 2


def rpc_error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    """Returns what a failed call raises."""
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, empty, empty, details=details)


def response_of(outputs: dict[str, np.ndarray]) -> pb.ModelInferResponse:
    """Returns Triton's answer with these tensors."""
    response = pb.ModelInferResponse(model_name="toy")
    for name, tensor in outputs.items():
        datatype = {"float32": "FP32", "uint8": "UINT8", "int64": "INT64"}[tensor.dtype.name]
        response.outputs.add(name=name, datatype=datatype, shape=tensor.shape)
        response.raw_output_contents.append(tensor.tobytes())
    return response


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", BackendUnavailableError),
        (grpc.StatusCode.CANCELLED, "CANCELLED", BackendUnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", DeadlineExpiredError),
        (grpc.StatusCode.INTERNAL, "Stub process 'toy_0_0' is not healthy.", BackendUnavailableError),
        (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'toy' is not found", BackendUnavailableError),
        (grpc.StatusCode.INTERNAL, "in ensemble 'toy', the engine failed: shape", EngineFailedError),
        (grpc.StatusCode.INTERNAL, f"in ensemble 'toy', {refusal_text('UNDECODABLE')}", PhotoRefusedError),
    ],
)
def test_every_failure_becomes_a_domain_error(code: grpc.StatusCode, details: str, expected: type[LoupeError]) -> None:
    """What failed is told by code and details, whatever Triton wraps around them."""
    assert type(domain_error(rpc_error(code, details), "toy")) is expected


def test_a_refusal_keeps_its_code_and_nothing_else() -> None:
    """The code travels; an unknown one, which only a forged text can carry, becomes a known one."""
    for code, expected in (("TOO_MANY_PIXELS", "TOO_MANY_PIXELS"), ("FORGED", "UNDECODABLE")):
        error = domain_error(rpc_error(grpc.StatusCode.INTERNAL, refusal_text(code)), "toy")
        assert isinstance(error, PhotoRefusedError)
        assert error.code == expected


def test_a_photo_travels_behind_its_length() -> None:
    """A BYTES tensor of one item is its length in four bytes, then itself."""
    assert photo_bytes(b"jpeg") == struct.pack("<I", 4) + b"jpeg"


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=4))
def test_appended_photos_are_the_photos_field(lengths: list[int]) -> None:
    """What is put together byte by byte is what protobuf itself would write."""
    photos = [bytes(length) for length in lengths]
    request = photo_request("toy", ["kind"], count=len(photos))
    joined = serialized_with_photos(request.SerializeToString(), photos)
    request.raw_input_contents.append(b"".join(map(photo_bytes, photos)))
    assert pb.ModelInferRequest.FromString(joined) == request


def test_tensors_survive_the_wire() -> None:
    """What is packed is what is read, in shape, type and value."""
    image = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)[:, ::-1]
    request = tensor_request("toy", "image", image)
    sent = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(request.inputs[0].shape)
    read = outputs_of(response_of({"scores": np.float32([[1.5, 2]]), "image": image}))
    np.testing.assert_array_equal(sent, image)
    np.testing.assert_array_equal(read["image"], image)
    assert read["scores"].tolist() == [[1.5, 2.0]]


def test_a_response_that_contradicts_itself_is_a_failed_engine() -> None:
    """A shape that does not fit the bytes, an unknown type, or missing bytes."""
    short = response_of({"scores": np.zeros((1, 3), np.float32)})
    short.outputs[0].shape[1] = 4
    unknown = response_of({"scores": np.zeros((1, 3), np.int64)})
    missing = response_of({"scores": np.zeros((1, 3), np.float32)})
    del missing.raw_output_contents[:]
    for response in (short, unknown, missing):
        with pytest.raises(EngineFailedError):
            outputs_of(response)


def test_a_prediction_holds_what_was_asked_for() -> None:
    """Logits by head, both uncertainty outputs, and the attention map only if it is wanted."""
    outputs = {
        "kind": np.float32([[1, 2, 3]]),
        "uncertainty": np.float32([[4.5, 0.25]]),
        "attention_map": np.ones((1, 2, 2), np.float32),
    }
    [plain] = raw_predictions(response_of(outputs), count=1, wanted=Wanted(("kind",)), size_px=SIZE_PX)
    wanted = Wanted(("kind",), attention=True)
    [with_map] = raw_predictions(response_of(outputs), count=1, wanted=wanted, size_px=SIZE_PX)
    assert plain.logits["kind"].tolist() == [1, 2, 3]
    assert (plain.feature_distance, plain.logit_variance) == (4.5, 0.25)
    assert plain.attention is None
    assert with_map.attention is not None
    assert with_map.attention.shape == (2, 2)


def test_each_photo_gets_its_own_prediction() -> None:
    """In the order in which the photos were sent."""
    outputs = {"kind": np.float32([[1, 2], [3, 4]]), "uncertainty": np.float32([[5, 6], [7, 8]])}
    first, second = raw_predictions(response_of(outputs), count=2, wanted=Wanted(("kind",)), size_px=SIZE_PX)
    assert (first.logits["kind"].tolist(), first.feature_distance) == ([1, 2], 5)
    assert (second.logits["kind"].tolist(), second.logit_variance) == ([3, 4], 8)


@pytest.mark.parametrize(
    "outputs",
    [
        {"uncertainty": np.float32([[1, 1]])},
        {"kind": np.float32([[1, np.nan]]), "uncertainty": np.float32([[1, 1]])},
        {"kind": np.float32([[1, np.inf]]), "uncertainty": np.float32([[1, 1]])},
        {"kind": np.float32([[1, 2]]), "uncertainty": np.float32([[np.nan, 1]])},
        {"kind": np.float32([[1, 2]]), "uncertainty": np.float32([[1, 1, 1]])},
        {"kind": np.zeros((0, 2), np.float32), "uncertainty": np.float32([[1, 1]])},
        {"kind": np.zeros((2, 2), np.float32), "uncertainty": np.float32([[1, 1], [1, 1]])},
    ],
)
def test_a_malformed_prediction_is_a_failed_engine(outputs: dict[str, np.ndarray]) -> None:
    """An output that is missing, empty, misshapen or not finite never reaches calibration."""
    with pytest.raises(EngineFailedError):
        raw_predictions(response_of(outputs), count=1, wanted=Wanted(("kind",)), size_px=SIZE_PX)


@pytest.mark.parametrize(
    "pixels", [None, np.zeros((1, 3, 3, 3), np.uint8), np.zeros((2, 2, 2, 3), np.uint8), np.zeros((1, 2, 2, 3), "f4")]
)
def test_malformed_pixels_are_a_failed_engine(pixels: np.ndarray | None) -> None:
    """The next engine is never asked about something else than the photo."""
    outputs = {"kind": np.float32([[1, 2]]), "uncertainty": np.float32([[1, 1]])}
    outputs |= {} if pixels is None else {"image": pixels}
    with pytest.raises(EngineFailedError):
        raw_predictions(response_of(outputs), count=1, wanted=Wanted(("kind",), pixels=True), size_px=SIZE_PX)


def test_pixels_come_back_and_travel_on() -> None:
    """Each photo's own bytes, in the order in which they were sent; what is appended is what Triton would be told."""
    images = np.arange(24, dtype=np.uint8).reshape(2, SIZE_PX, SIZE_PX, 3)
    outputs = {"kind": np.zeros((2, 2), np.float32), "uncertainty": np.zeros((2, 2), np.float32), "image": images}
    wanted = Wanted(("kind",), pixels=True)
    read = [each.pixels for each in raw_predictions(response_of(outputs), count=2, wanted=wanted, size_px=SIZE_PX)]
    contents = [each.content for each in read if each is not None]
    assert [bytes(each) for each in contents] == [each.tobytes() for each in images]
    request = pixels_request("toy_engine", ["kind"], count=2, size_px=SIZE_PX)
    sent = pb.ModelInferRequest.FromString(serialized_with_pixels(request.SerializeToString(), contents))
    [tensor] = sent.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("image", "UINT8", [2, SIZE_PX, SIZE_PX, 3])
    assert list(sent.raw_input_contents) == [images.tobytes()]
    assert [each.name for each in sent.outputs] == ["kind"]
