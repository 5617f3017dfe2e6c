"""What a call can fail with: one class a kind of failure, with everything that the server said as fields.

LoupeError
├── InvalidRequestError      the request breaks rules; `violations` names all of them
├── NotFoundError            no such task, head, tier or inspection; see `resource`
├── OverloadedError          shed or over quota; come back after `retry_after_s`
├── UnavailableError         no connection, draining, or the backend is restarting; worth a retry
├── DeadlineExpiredError     the time allowed was not enough
├── UnauthenticatedError     no token, or a bad one
├── PermissionDeniedError    the token's role does not allow this
└── UnimplementedError       this server does not offer the method
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY: Final = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of a request.

    Attributes:
        field: The path of the field, e.g. `image.content`.
        description: What is wrong and what would be right.
        reason: For programs, in UPPER_SNAKE_CASE; may be empty.
    """

    field: str
    description: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """What a request asked for and the server does not have, e.g. type `head` and name `size`."""

    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of a failed call.

    Attributes:
        code: The status code.
        message: What the server said, for people.
        reason: What the server said, for programs, in UPPER_SNAKE_CASE; empty if nothing but a code came back.
        request_id: What to quote when the failure is reported; may be empty.
        retry_after_s: When to come back, in seconds, or None if the server does not say.
        violations: The broken rules.
        resource: What was not found.
    """

    code: grpc.StatusCode
    message: str
    reason: str = ""
    request_id: str = ""
    retry_after_s: float | None = None
    violations: tuple[Violation, ...] = ()
    resource: Resource | None = None


class LoupeError(Exception):
    """A call failed; see `failure` and its fields, which are also this error's own."""

    def __init__(self, failure: Failure) -> None:
        """Says the code and what the server said."""
        super().__init__(f"{failure.code.name}: {failure.message}")
        self.failure = failure
        self.code = failure.code
        self.message = failure.message
        self.reason = failure.reason
        self.request_id = failure.request_id
        self.retry_after_s = failure.retry_after_s
        self.violations = failure.violations
        self.resource = failure.resource


class InvalidRequestError(LoupeError):
    """The request breaks at least one rule."""


class NotFoundError(LoupeError):
    """What the request names does not exist."""


class OverloadedError(LoupeError):
    """The server has more work than it admits, or the caller is over its quota."""


class UnavailableError(LoupeError):
    """The server cannot be reached, is shutting down, or its backend is restarting."""


class DeadlineExpiredError(LoupeError):
    """The time allowed was not enough."""


class UnauthenticatedError(LoupeError):
    """The call carries no token, or a bad one."""


class PermissionDeniedError(LoupeError):
    """The caller's role does not allow the call."""


class UnimplementedError(LoupeError):
    """This server does not offer the method."""


_CLASSES: Final[Mapping[grpc.StatusCode, type[LoupeError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExpiredError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
}


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def error_of(error: grpc.RpcError) -> LoupeError:
    """Returns the typed error of a failed call."""
    code = error.code()
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    content = next((value for key, value in metadata if key == _DETAILS_KEY), b"")
    message = error.details() or ""
    try:
        status = status_pb2.Status.FromString(content if isinstance(content, bytes) else b"")
        failure = _failure(code, message, status)
    except DecodeError:  # damaged details add nothing
        failure = Failure(code, message)
    return _CLASSES.get(code, LoupeError)(failure)


def error_of_status(status: status_pb2.Status) -> LoupeError:
    """Returns the typed error that a status states, as it stands in the answers of a stream."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _CLASSES.get(code, LoupeError)(_failure(code, status.message, status))


def _failure(code: grpc.StatusCode, message: str, status: status_pb2.Status) -> Failure:
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.RequestInfo()
    retry = error_details_pb2.RetryInfo()
    bad_request = error_details_pb2.BadRequest()
    resource = error_details_pb2.ResourceInfo()
    unpacked = {
        type(target).DESCRIPTOR.name
        for detail in status.details
        for target in (info, request, retry, bad_request, resource)
        if detail.Unpack(target)
    }
    return Failure(
        code=code,
        message=message,
        reason=info.reason,
        request_id=request.request_id,
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds() if "RetryInfo" in unpacked else None,
        violations=tuple(Violation(each.field, each.description, each.reason) for each in bad_request.field_violations),
        resource=Resource(resource.resource_type, resource.resource_name) if "ResourceInfo" in unpacked else None,
    )
