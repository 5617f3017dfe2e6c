"""The error table: complete, and silent about what callers must not see."""

import importlib
import logging
import pkgutil
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import server
from loupe.errors import LoupeError as CallError
from loupe.errors import OverloadedError as ShedError
from loupe.errors import UnavailableError
from loupe.v1 import inspection_service_pb2 as pb
from server.domain.errors import (
    BackendUnavailableError,
    DeadlineExpiredError,
    DrainingError,
    EngineFailedError,
    LoupeError,
    NotFoundError,
    OverloadedError,
    ReleaseRefusedError,
    UnknownTaskError,
)
from server.rpc.status import ERROR_DOMAIN, TABLE, UNKNOWN_ERROR, row_of, status_of

from .conftest import Gateway

SEEN = "0x7f3a decoder says: /home/secret"


def subclasses(base: type[LoupeError]) -> set[type[LoupeError]]:
    """Returns every class below a class."""
    return {below for each in base.__subclasses__() for below in (each, *subclasses(each))}


def every_error() -> list[type[LoupeError]]:
    """Imports every module of the server, but for Triton's own side, and returns every error that one defines."""
    for module in pkgutil.walk_packages(server.__path__, "server."):
        if not module.name.startswith("server.triton.models") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return sorted(
        (each for each in subclasses(LoupeError) if each.__module__.startswith("server.")),
        key=lambda each: each.__name__,
    )


def test_every_error_has_a_row() -> None:
    """No class that anyone defines anywhere in the server falls through the table."""
    errors = every_error()
    assert len(errors) > 10
    unmapped = [each.__name__ for each in errors if not set(each.__mro__).intersection(TABLE)]
    assert unmapped == []
    assert LoupeError not in TABLE


def test_every_error_has_a_reason_of_its_own() -> None:
    """Programs tell errors apart by their reason."""
    reasons = [each.reason for each in every_error() if each in TABLE]
    assert len(set(reasons)) == len(reasons)


def test_every_reason_is_documented(repository_root: Path) -> None:
    """Callers find what they can meet in the contract's own README."""
    text = (repository_root / "protos" / "README.md").read_text()
    reasons = {each.reason for each in every_error() if set(each.__mro__).intersection(TABLE)} - {NotFoundError.reason}
    assert [each for each in sorted(reasons) if f"`{each}`" not in text] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownTaskError("x"), grpc.StatusCode.NOT_FOUND),
        (OverloadedError("x", retry_after_s=2), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (BackendUnavailableError("x"), grpc.StatusCode.UNAVAILABLE),
        (DrainingError(), grpc.StatusCode.UNAVAILABLE),
        (DeadlineExpiredError("x"), grpc.StatusCode.DEADLINE_EXCEEDED),
        (EngineFailedError("x", "y"), grpc.StatusCode.INTERNAL),
        (ReleaseRefusedError("x", "y"), grpc.StatusCode.FAILED_PRECONDITION),
        (ValueError("x"), grpc.StatusCode.INTERNAL),
    ],
)
def test_a_status_carries_code_reason_and_request_id(error: Exception, code: grpc.StatusCode) -> None:
    """ErrorInfo of our domain first, RequestInfo always."""
    status = status_of(error, request_id="abc")
    assert status.code == code.value[0]
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == ERROR_DOMAIN
    assert info.reason == (error.reason if isinstance(error, LoupeError) else "INTERNAL")
    request = error_details_pb2.RequestInfo()
    assert status.details[-1].Unpack(request)
    assert request.request_id == "abc"


def test_a_subclass_takes_the_row_of_its_base() -> None:
    """A new error below a known one is known."""

    class StrangeTaskError(UnknownTaskError):
        """A task that is strange."""

    assert row_of(StrangeTaskError("x")).code is grpc.StatusCode.NOT_FOUND
    assert row_of(KeyError("x")) is UNKNOWN_ERROR


@pytest.mark.parametrize(
    ("error", "delay_s"),
    [
        (OverloadedError("tier fast", retry_after_s=0.25), 0.25),
        (BackendUnavailableError(SEEN, retry_after_s=2.0), 2.0),
        (DrainingError(retry_after_s=3.0), 3.0),
    ],
)
async def test_what_is_worth_a_retry_says_when(
    gateway: Gateway, request_message: pb.InspectImageRequest, error: Exception, delay_s: float
) -> None:
    """RetryInfo, to the millisecond."""
    gateway.engines.default = error
    with pytest.raises((ShedError, UnavailableError)) as failure:
        await gateway.client.inspect_image(request_message)
    assert failure.value.retry_after_s == pytest.approx(delay_s)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(SEEN),
        BackendUnavailableError(SEEN),
        EngineFailedError(SEEN, SEEN),
        DeadlineExpiredError(SEEN),
        ReleaseRefusedError("bread/1", SEEN),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_went_wrong_inside_stays_inside(
    gateway: Gateway, request_message: pb.InspectImageRequest, error: Exception
) -> None:
    """A fixed sentence and the request id; nothing of what was seen, in no header."""
    gateway.engines.default = error
    call = gateway.channel.unary_unary("/loupe.v1.InspectionService/InspectImage")
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call(request_message.SerializeToString(), timeout=10, metadata=(("x-request-id", "quote-me"),))
    said = f"{failure.value.details()} {failure.value.trailing_metadata()} {failure.value.initial_metadata()}"
    status = status_pb2.Status.FromString(dict(failure.value.trailing_metadata())["grpc-status-details-bin"])
    for word in ("0x7f3a", "decoder", "secret", "Traceback", "RuntimeError"):
        assert word not in said
        assert word not in str(status)
    assert dict(failure.value.trailing_metadata())["x-request-id"] == "quote-me"


async def test_what_callers_may_not_see_is_logged(
    gateway: Gateway, request_message: pb.InspectImageRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """With the request id that the caller quotes, and the traceback."""
    gateway.engines.default = RuntimeError(SEEN)
    with caplog.at_level(logging.ERROR), pytest.raises(CallError) as failure:
        await gateway.client.inspect_image(request_message)
    [record] = [each for each in caplog.records if each.name == "server.rpc.interceptors"]
    assert failure.value.request_id in record.getMessage()
    assert record.exc_info is not None
