"""The error table: one row a class of errors, with its code, its sentence and its details.

Callers see our own sentences only. What an engine, a decoder or Python said stays in the log.
Everything is cut to a length, because statuses travel in headers, which are limited to 8 KiB.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from server.domain.errors import (
    BackendUnavailableError,
    CalibrationDataError,
    DeadlineExpiredError,
    DrainingError,
    EngineFailedError,
    InvalidRequestError,
    LoupeError,
    NotFoundError,
    OverloadedError,
    PhotoRefusedError,
    ReleaseRefusedError,
)
from server.rpc.errors import MethodNotImplementedError

ERROR_DOMAIN: Final = "loupe"
DETAILS_KEY: Final = "grpc-status-details-bin"

_MAX_SENTENCE = 400
_MAX_DESCRIPTION = 200
_MAX_FIELD = 80
_MAX_VIOLATIONS = 12


@dataclass(frozen=True, slots=True)
class StatusRow:
    """What callers get for one class of errors.

    Attributes:
        code: The status code.
        sentence: Makes the message; it must not repeat what others have said.
        details: Makes the messages beside ErrorInfo.
        facts: Makes the metadata of ErrorInfo.
    """

    code: grpc.StatusCode
    sentence: Callable[[Any], str]
    details: Callable[[Any], Iterable[Message]] = lambda _: ()
    facts: Callable[[Any], Mapping[str, str]] = lambda _: {}


def _says(sentence: str) -> Callable[[object], str]:
    return lambda _: sentence


def _bad_request(error: InvalidRequestError) -> Iterable[Message]:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(
            field=_cut(each.field, _MAX_FIELD), description=_cut(each.description, _MAX_DESCRIPTION), reason=each.reason
        )
        for each in error.violations[:_MAX_VIOLATIONS]
    ]
    return (error_details_pb2.BadRequest(field_violations=violations),)


def _resource_info(error: NotFoundError) -> Iterable[Message]:
    return (
        error_details_pb2.ResourceInfo(
            resource_type=error.resource_type,
            resource_name=_cut(error.resource, _MAX_FIELD),
            description=_cut(str(error), _MAX_DESCRIPTION),
        ),
    )


def _retry_info(error: OverloadedError | BackendUnavailableError | DrainingError) -> Iterable[Message]:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(max(1, round(error.retry_after_s * 1000)))
    return (info,)


TABLE: Final[Mapping[type[LoupeError], StatusRow]] = {
    PhotoRefusedError: StatusRow(
        grpc.StatusCode.INVALID_ARGUMENT, str, _bad_request, lambda error: {"code": error.code}
    ),
    InvalidRequestError: StatusRow(grpc.StatusCode.INVALID_ARGUMENT, str, _bad_request),
    NotFoundError: StatusRow(grpc.StatusCode.NOT_FOUND, str, _resource_info),
    OverloadedError: StatusRow(grpc.StatusCode.RESOURCE_EXHAUSTED, str, _retry_info),
    BackendUnavailableError: StatusRow(
        grpc.StatusCode.UNAVAILABLE, _says("the inference backend is starting or restarting; try again"), _retry_info
    ),
    DrainingError: StatusRow(grpc.StatusCode.UNAVAILABLE, str, _retry_info),
    DeadlineExpiredError: StatusRow(
        grpc.StatusCode.DEADLINE_EXCEEDED, _says("the deadline expired before there was an answer; allow more time")
    ),
    EngineFailedError: StatusRow(
        grpc.StatusCode.INTERNAL, _says("the engine failed on this photo; report it with the request id")
    ),
    ReleaseRefusedError: StatusRow(
        grpc.StatusCode.FAILED_PRECONDITION, lambda error: f"release {error.release} is refused"
    ),
    CalibrationDataError: StatusRow(
        grpc.StatusCode.FAILED_PRECONDITION, _says("the labelled outputs do not suffice to calibrate with")
    ),
    MethodNotImplementedError: StatusRow(grpc.StatusCode.UNIMPLEMENTED, str),
}

UNKNOWN_ERROR: Final = StatusRow(
    grpc.StatusCode.INTERNAL, _says("the server failed on this request; report it with the request id")
)


def row_of(error: BaseException) -> StatusRow:
    """Returns the row of an error's class, or of the nearest class that it derives from."""
    for each in type(error).__mro__:
        row = TABLE.get(each)
        if row is not None:
            return row
    return UNKNOWN_ERROR


def status_of(error: BaseException, *, request_id: str) -> status_pb2.Status:
    """Returns the status that callers get.

    Args:
        error: What went wrong.
        request_id: What the caller can quote.
    """
    row = row_of(error)
    number, _ = row.code.value
    reason = error.reason if isinstance(error, LoupeError) else LoupeError.reason
    status = status_pb2.Status(code=number, message=_cut(row.sentence(error), _MAX_SENTENCE))
    info = error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=row.facts(error))
    for detail in (info, *row.details(error), error_details_pb2.RequestInfo(request_id=request_id)):
        status.details.add().Pack(detail)
    return status


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
