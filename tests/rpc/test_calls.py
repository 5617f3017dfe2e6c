"""What holds for every call: request ids, one line in the log, deadlines, cancellation, and what is not offered."""

import asyncio

import grpc
import grpc.aio
import pytest
from fakes import Gate, until
from google.rpc import error_details_pb2, status_pb2

from loupe.errors import DeadlineExpiredError, UnavailableError
from loupe.v1 import feedback_service_pb2 as feedback_pb
from loupe.v1 import feedback_service_pb2_grpc as feedback_grpc
from loupe.v1 import inspection_service_pb2 as pb
from loupe.v1 import inspection_service_pb2_grpc as pb_grpc
from server.service.admission import AdmissionLimits
from server.service.deadline import DeadlinePolicy
from server.service.router import RouterOptions
from server.service.tier_runner import TierLimits

from .conftest import Gateway, StartGateway

INSPECT = "/loupe.v1.InspectionService/InspectImage"


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Returns the reason in a failed call's ErrorInfo."""
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info.reason


async def request_id_of(gateway: Gateway, message: pb.InspectImageRequest, *metadata: tuple[str, str]) -> str:
    """Returns the request id that a call comes back with."""
    call = gateway.channel.unary_unary(INSPECT)(message.SerializeToString(), timeout=10, metadata=metadata)
    await call
    return dict(await call.trailing_metadata())["x-request-id"]


async def test_a_callers_request_id_comes_back(gateway: Gateway, request_message: pb.InspectImageRequest) -> None:
    """So that both sides' logs can be laid beside each other."""
    assert await request_id_of(gateway, request_message, ("x-request-id", "order-66")) == "order-66"


@pytest.mark.parametrize("value", ["", "with space", "x" * 129])
async def test_an_unsound_request_id_is_replaced(
    gateway: Gateway, request_message: pb.InspectImageRequest, value: str
) -> None:
    """What cannot be logged safely is not; every call has an id."""
    assert len(await request_id_of(gateway, request_message, ("x-request-id", value))) == 16
    assert len(await request_id_of(gateway, request_message)) == 16


async def test_each_call_is_told_of(gateway: Gateway, request_message: pb.InspectImageRequest) -> None:
    """Method, code, duration, request id; once a call, however it ends."""
    await request_id_of(gateway, request_message, ("x-request-id", "good"))
    request_message.task = "tasks/cheese"
    with pytest.raises(grpc.aio.AioRpcError):
        await request_id_of(gateway, request_message, ("x-request-id", "bad"))
    gateway.engines.default = Gate()
    request_message.task = "tasks/bread"
    with pytest.raises(grpc.aio.AioRpcError):
        await gateway.channel.unary_unary(INSPECT)(request_message.SerializeToString(), timeout=0.05)
    await until(lambda: len(gateway.calls) == 3)
    assert [(code, request_id) for _, code, _, request_id, _ in gateway.calls[:2]] == [
        ("OK", "good"),
        ("NOT_FOUND", "bad"),
    ]
    assert {method for method, *_ in gateway.calls} == {"loupe.v1.InspectionService/InspectImage"}
    assert all(duration_s > 0 for _, _, duration_s, *_ in gateway.calls)
    assert gateway.calls[2][1] in ("CANCELLED", "DEADLINE_EXCEEDED")


async def test_a_deadline_ends_a_call(gateway: Gateway, request_message: pb.InspectImageRequest) -> None:
    """The caller stops waiting, and so do gateway and engine."""
    gate = Gate()
    gateway.engines.default = gate
    with pytest.raises(DeadlineExpiredError):
        await gateway.client.inspect_image(request_message, timeout_s=0.05)
    await until(lambda: gateway.engines.running == 0)
    assert gateway.door.inside == 0


async def test_an_engine_gets_the_callers_time(gateway: Gateway, request_message: pb.InspectImageRequest) -> None:
    """What the caller allows is what the engine gets, less what has passed."""
    await gateway.client.inspect_image(request_message, timeout_s=3)
    assert gateway.engines.calls[0].timeout_s == pytest.approx(3, abs=0.5)


async def test_no_deadline_gets_the_default_and_a_long_one_is_capped(
    start_gateway: StartGateway, request_message: pb.InspectImageRequest
) -> None:
    """Nobody holds a place for ever."""
    gateway = await start_gateway(deadlines=DeadlinePolicy(2.0, 5.0))
    call = gateway.channel.unary_unary(INSPECT)
    await call(request_message.SerializeToString())
    await call(request_message.SerializeToString(), timeout=1000)
    default_s, longest_s = (each.timeout_s for each in gateway.engines.calls)
    assert (default_s, longest_s) == pytest.approx((2, 5), abs=0.5)


async def test_a_caller_that_goes_away_frees_its_place(
    start_gateway: StartGateway, request_message: pb.InspectImageRequest
) -> None:
    """With one place and no waiting room, the next caller gets in as soon as the first is gone."""
    gateway = await start_gateway(options=RouterOptions(tier=TierLimits(admission=AdmissionLimits(1, 0))))
    gate = Gate()
    gateway.engines.default = gate
    first = asyncio.create_task(gateway.client.inspect_image(request_message))
    await gate.entered.wait()
    first.cancel()
    await until(lambda: gateway.engines.cancelled == 1)
    gate.open()
    assert (await gateway.client.inspect_image(request_message)).inspection


async def test_a_full_gateway_sheds(start_gateway: StartGateway, request_message: pb.InspectImageRequest) -> None:
    """Beyond places and waiting room: RESOURCE_EXHAUSTED at once, and the others are answered."""
    gateway = await start_gateway(options=RouterOptions(tier=TierLimits(admission=AdmissionLimits(1, 2))))
    gate = Gate()
    gateway.engines.default = gate
    calls = [asyncio.create_task(gateway.client.inspect_image(request_message)) for _ in range(6)]
    done, waiting = await asyncio.wait(calls, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 3:
        more, waiting = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    gate.open()
    await asyncio.wait(waiting)
    codes = sorted(type(each.exception()).__name__ for each in calls)
    assert codes == ["NoneType"] * 3 + ["OverloadedError"] * 3


async def test_a_draining_gateway_finishes_what_it_began(
    gateway: Gateway, request_message: pb.InspectImageRequest
) -> None:
    """New calls are told to go elsewhere; calls in flight are answered."""
    gate = Gate()
    gateway.engines.default = gate
    running = asyncio.create_task(gateway.client.inspect_image(request_message))
    await gate.entered.wait()
    gateway.door.shut()
    with pytest.raises(UnavailableError) as refusal:
        await gateway.client.inspect_image(request_message)
    assert refusal.value.reason == "DRAINING"
    assert refusal.value.retry_after_s is not None
    gate.open()
    assert (await running).inspection
    await gateway.door.wait_empty()


@pytest.mark.parametrize("method", ["GetInspection", "DeleteInspection"])
async def test_methods_of_later_issues_are_unimplemented(gateway: Gateway, method: str) -> None:
    """Said in our own words, with ErrorInfo."""
    stub = pb_grpc.InspectionServiceStub(gateway.channel)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await getattr(stub, method)(getattr(pb, f"{method}Request")(), timeout=10)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert reason_of(error.value) == "METHOD_NOT_IMPLEMENTED"


async def test_services_of_later_issues_are_unimplemented(gateway: Gateway) -> None:
    """The contract names them, this server does not have them yet."""
    stub = feedback_grpc.FeedbackServiceStub(gateway.channel)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.SubmitFeedback(feedback_pb.SubmitFeedbackRequest(), timeout=10)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert reason_of(error.value) == "METHOD_NOT_IMPLEMENTED"
