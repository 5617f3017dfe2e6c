"""Many photos on one call: side by side, each with its own time, and no bad one ends the stream."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from fakes import Call, Gate, prediction, until
from google.protobuf.duration_pb2 import Duration

from loupe.client import LoupeClient
from loupe.errors import DeadlineExpiredError, InvalidRequestError, LoupeError, UnavailableError, UnimplementedError
from loupe.streaming import StreamedAnswer
from loupe.v1 import inspection_service_pb2 as pb
from loupe.v1 import inspection_service_pb2_grpc as pb_grpc
from server.domain.errors import DeadlineExpiredError as TooLateError
from server.domain.prediction import RawPrediction

from .conftest import Gateway

STREAM = "/loupe.v1.InspectionService/StreamInspectImages"
IN_FLIGHT = 4
"""What the fixture's gateway answers at once."""


async def collected(answers: AsyncIterator[StreamedAnswer]) -> dict[int, StreamedAnswer]:
    """Returns all answers by index."""
    return {each.index: each async for each in answers}


async def test_every_photo_is_answered(gateway: Gateway, photo: bytes) -> None:
    """More photos than travel at once: each gets one answer, and the call is told of once."""
    answers = await collected(gateway.client.inspect_all([photo] * 11, task="bread"))
    assert sorted(answers) == list(range(11))
    assert len({each.result().inspection for each in answers.values()}) == 11
    assert gateway.engines.most_running <= IN_FLIGHT
    assert [(method, code) for method, code, *_ in gateway.calls] == [(STREAM.removeprefix("/"), "OK")]


async def test_the_synchronous_client_streams_too(gateway: Gateway, photo: bytes) -> None:
    """From any thread, with the same answers."""
    with LoupeClient(gateway.address) as client:
        answers = await asyncio.to_thread(lambda: list(client.inspect_all([photo] * 5, task="bread")))
    assert sorted(each.index for each in answers) == list(range(5))
    assert all(each.result().answers for each in answers)


async def test_a_bad_photo_does_not_end_the_stream(gateway: Gateway, photo: bytes) -> None:
    """Its answer is the error that a call of its own would have ended with."""
    photos = [photo, b"no photo", photo, b"", photo]
    answers = await collected(gateway.client.inspect_all(photos, task="bread"))
    failed = {index: each.error for index, each in answers.items() if each.error is not None}
    assert sorted(failed) == [1, 3]
    assert all(isinstance(each, InvalidRequestError) and each.request_id for each in failed.values())
    assert [failed[index].violations[0].reason for index in (1, 3)] == ["UNKNOWN_FORMAT", "EMPTY"]


async def test_an_unforeseen_failure_does_not_end_the_stream(gateway: Gateway, photo: bytes) -> None:
    """The photo's answer says INTERNAL and nothing of what happened."""
    gateway.engines.default = RuntimeError("a secret")
    [answer] = (await collected(gateway.client.inspect_all([photo], task="bread"))).values()
    assert answer.error is not None
    assert answer.error.code is grpc.StatusCode.INTERNAL
    assert "secret" not in str(answer.error)


async def test_a_photo_has_its_own_time(gateway: Gateway, photo: bytes) -> None:
    """One that takes too long is given up, while the others are answered."""
    first = asyncio.Event()

    async def answer(call: Call) -> RawPrediction:
        if not first.is_set():
            first.set()
            await asyncio.sleep(call.timeout_s)
            raise TooLateError("gave up")
        return prediction()

    gateway.engines.default = answer
    answers = await collected(gateway.client.inspect_all([photo] * 6, task="bread", photo_timeout_s=0.2))
    assert sum(each.error is None for each in answers.values()) == 5
    assert gateway.engines.calls[0].timeout_s <= 0.2
    assert sum(isinstance(each.error, DeadlineExpiredError) for each in answers.values()) == 1


async def test_the_streams_own_deadline_limits_its_photos(gateway: Gateway, photo: bytes) -> None:
    """What is left of the stream is all that a photo gets, and when it is over the stream ends."""
    gateway.engines.default = Gate()
    with pytest.raises(DeadlineExpiredError):
        await collected(gateway.client.inspect_all([photo], task="bread", photo_timeout_s=9, timeout_s=0.3))
    assert gateway.engines.calls[0].timeout_s <= 0.3
    await until(lambda: gateway.engines.running == 0)
    assert gateway.door.inside == 0


async def test_the_next_photo_is_read_when_an_answer_has_left(gateway: Gateway, photo: bytes) -> None:
    """A stream takes so many places and no more, whatever is sent."""
    gate = Gate()
    gateway.engines.default = gate
    running = asyncio.create_task(collected(gateway.client.inspect_all([photo] * 20, task="bread")))
    await until(lambda: gateway.engines.running == IN_FLIGHT)
    # A photo of another call overtakes those of the stream that have not been read.
    gateway.engines.default = prediction()
    assert (await gateway.client.inspect(photo, task="bread")).inspection
    assert len(gateway.engines.calls) == IN_FLIGHT + 1
    gate.open()
    assert len(await running) == 20


async def test_a_client_that_goes_away_ends_its_photos(
    gateway: Gateway, photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """They are cancelled in the engine, their places are free, and nothing is logged as a failure."""
    gateway.engines.default = Gate()
    running = asyncio.create_task(collected(gateway.client.inspect_all([photo] * 9, task="bread")))
    await until(lambda: gateway.engines.running == IN_FLIGHT)
    running.cancel()
    await until(lambda: gateway.engines.cancelled == IN_FLIGHT)
    await until(lambda: bool(gateway.calls))
    assert gateway.door.inside == 0
    assert gateway.calls[0][1] == "CANCELLED"
    assert not caplog.records


async def test_a_draining_gateway_says_so_photo_by_photo(gateway: Gateway, photo: bytes) -> None:
    """What was begun is answered; the rest is to be sent elsewhere."""
    gate = Gate()
    gateway.engines.default = gate
    running = asyncio.create_task(collected(gateway.client.inspect_all([photo] * 6, task="bread")))
    await until(lambda: gateway.engines.running == IN_FLIGHT)
    gateway.door.shut()
    gate.open()
    answers = await running
    refused = [each.error for each in answers.values() if each.error is not None]
    assert len(refused) == 6 - IN_FLIGHT
    assert all(isinstance(each, UnavailableError) and each.reason == "DRAINING" for each in refused)


async def test_ids_and_times_are_checked_message_by_message(gateway: Gateway, photo: bytes) -> None:
    """An id must be there and be free, a time above zero; each fault is said in that message's own answer."""
    request = pb.InspectImageRequest(task="tasks/bread", image=pb.Image(content=photo))
    gate = Gate()
    gateway.engines.default = gate
    call = pb_grpc.InspectionServiceStub(gateway.channel).StreamInspectImages(timeout=10)
    await call.write(pb.StreamInspectImagesRequest(correlation_id="a", inspect_image=request))
    await gate.entered.wait()
    faults = [
        pb.StreamInspectImagesRequest(correlation_id="a", inspect_image=request),
        pb.StreamInspectImagesRequest(inspect_image=request, timeout=Duration(seconds=-1)),
        pb.StreamInspectImagesRequest(correlation_id="x" * 65, inspect_image=request),
    ]
    descriptions = []
    for fault in faults:
        await call.write(fault)
        response = await call.read()
        assert isinstance(response, pb.StreamInspectImagesResponse)
        assert response.correlation_id == fault.correlation_id
        descriptions.append(response.error.message)
    gate.open()
    await call.done_writing()
    answered = await call.read()
    assert isinstance(answered, pb.StreamInspectImagesResponse)
    assert answered.inspect_image.inspection
    assert await call.read() is grpc.aio.EOF
    assert "no answer yet" in descriptions[0]
    assert "correlation_id" in descriptions[1]
    assert "timeout" in descriptions[1]
    assert "64" in descriptions[2]


async def test_a_malformed_message_ends_the_stream(gateway: Gateway) -> None:
    """It cannot be said which photo it was."""
    call = gateway.channel.stream_stream(STREAM)(iter([b"\xff\xff"]), timeout=10)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call.read()
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_photos_that_cannot_be_read_are_said(gateway: Gateway, photo: bytes, tmp_path: Path) -> None:
    """The caller's own error comes through, not gRPC's."""
    with pytest.raises(FileNotFoundError):
        await collected(gateway.client.inspect_all([photo, tmp_path / "none.jpg"], task="bread"))


async def test_photos_that_cannot_be_read_are_said_synchronously(
    gateway: Gateway, photo: bytes, tmp_path: Path
) -> None:
    """In the synchronous client too."""
    photos = [photo, tmp_path / "none.jpg"]
    with LoupeClient(gateway.address) as client, pytest.raises(FileNotFoundError):
        await asyncio.to_thread(lambda: list(client.inspect_all(photos, task="bread")))


def test_a_lost_server_is_a_typed_error(photo: bytes) -> None:
    """As with single calls."""
    with LoupeClient("127.0.0.1:1") as client, pytest.raises(LoupeError) as error:
        list(client.inspect_all([photo], task="bread"))
    assert not isinstance(error.value, UnimplementedError)
