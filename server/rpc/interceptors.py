"""The one interceptor: every call gets a request id, a status by the error table, and is told of when it ends.

It parses and serialises too, so that a malformed message or answer is an error like any other.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from server.domain.errors import InvalidRequestError, Violation
from server.domain.ports import Clock, Tracer, Untraced
from server.rpc.errors import MethodNotImplementedError
from server.rpc.status import DETAILS_KEY, row_of, status_of

REQUEST_ID_KEY: Final = "x-request-id"

_LOG = logging.getLogger(__name__)
_OWN_METHODS = "/loupe.v1."
_REQUEST_ID = re.compile(r"[!-~]{1,128}")

# These are generic in their type stubs only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
OnCall = Callable[[str, str, float, str, str], None]
"""Is told of each call that has ended: method, status code, duration in seconds, request id, trace id; at once."""

Behaviour = Callable[[Any, "Context"], Awaitable[Any]]

_CALL: Final[ContextVar[tuple[str, str]]] = ContextVar("call")
"""Method and request id of the call under way."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods of `loupe.v1`; health and reflection pass as they are."""

    def __init__(self, clock: Clock, on_call: OnCall, tracer: Tracer | None = None) -> None:
        """Wraps nothing yet.

        Args:
            clock: Measures the duration of calls.
            on_call: Is told of each call.
            tracer: Surrounds each call.
        """
        self._tracer = tracer or Untraced()
        self._clock = clock
        self._on_call = on_call
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Returns the handler of a call, wrapped once a method."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if not method.startswith(_OWN_METHODS):
            return handler
        wrapped = self._wrap(method, handler)
        if handler is not None:  # whoever invents method names must not fill our memory
            self._wrapped[method] = wrapped
        return wrapped

    def _wrap(self, method: str, handler: Handler | None) -> Handler:
        # What no servicer implements is a plain function in the generated base class.
        if handler is not None and inspect.iscoroutinefunction(handler.unary_unary):
            return grpc.unary_unary_rpc_method_handler(self._answering(method, handler))
        if handler is not None and inspect.iscoroutinefunction(handler.stream_stream):
            return grpc.stream_stream_rpc_method_handler(
                self._streaming(method, handler), response_serializer=handler.response_serializer
            )
        if handler is not None and handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(_refusing(method))
        return grpc.unary_unary_rpc_method_handler(_refusing(method))

    def _answering(self, method: str, handler: Handler) -> Behaviour:
        """Returns the behaviour of a method, from bytes to bytes."""
        parse = cast("Callable[[bytes], Message]", handler.request_deserializer)
        behave = cast("Behaviour", handler.unary_unary)
        serialise = cast("Callable[[Message], bytes]", handler.response_serializer)

        async def answer(content: bytes, context: Context) -> bytes:
            return serialise(await behave(_parsed(parse, content), context))

        return self._accounted(method, answer)

    def _streaming(self, method: str, handler: Handler) -> Behaviour:
        """Returns the behaviour of a method that reads bytes, and writes messages while it runs."""
        parse = cast("Callable[[bytes], Message]", handler.request_deserializer)
        behave = cast("Behaviour", handler.stream_stream)

        async def answer(contents: AsyncIterator[bytes], context: Context) -> None:
            await behave((_parsed(parse, each) async for each in contents), context)

        return self._accounted(method, answer)

    def _accounted(self, method: str, behave: Behaviour) -> Behaviour:
        """Returns a behaviour that gives calls an id, failures a status, and tells of each call that has ended."""
        clock, on_call, tracer, name = self._clock, self._on_call, self._tracer, method.removeprefix("/")

        async def answer(request: Any, context: Context) -> Any:
            began_s = clock.monotonic_s()
            metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            request_id, trace_id = _request_id(metadata), ""
            _CALL.set((name, request_id))
            code = "OK"
            try:
                with tracer.call(name, metadata) as trace_id:
                    response = await behave(request, context)
                context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
                return response  # noqa: TRY300
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception as error:
                code = row_of(error).code.name
                await _abort(context, error)
                raise  # unreachable: aborting raises
            finally:
                on_call(name, code, clock.monotonic_s() - began_s, request_id, trace_id)

        return answer


def _refusing(method: str) -> Behaviour:
    """Returns the behaviour of a method that this server does not offer."""
    name = method.removeprefix("/")

    async def refuse(_: object, context: Context) -> None:
        _CALL.set((name, _request_id(dict(context.invocation_metadata() or ()))))
        await _abort(context, MethodNotImplementedError(name))

    return refuse


def _parsed(parse: Callable[[bytes], Message], content: bytes) -> Message:
    try:
        return parse(content)
    except DecodeError as error:
        raise InvalidRequestError(Violation("", "the message is not a valid protobuf of this method")) from error


def status_for_caller(error: Exception) -> status_pb2.Status:
    """Returns the status of an error in the call under way, and logs what callers may not see."""
    method, request_id = _CALL.get()
    row = row_of(error)
    if row.code is grpc.StatusCode.INTERNAL:
        _LOG.error("%s failed, request %s", method, request_id, exc_info=error)
    elif row.code is grpc.StatusCode.UNAVAILABLE:
        _LOG.warning("%s: %s, request %s", method, error, request_id)
    return status_of(error, request_id=request_id)


async def _abort(context: Context, error: Exception) -> None:
    """Ends the call under way with the status of an error."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    status = status_for_caller(error)
    _, request_id = _CALL.get()
    # Aborting replaces trailing metadata that was set before.
    metadata = ((DETAILS_KEY, status.SerializeToString()), (REQUEST_ID_KEY, request_id))
    await context.abort(row_of(error).code, status.message, trailing_metadata=metadata)


def _request_id(metadata: Mapping[str, str | bytes]) -> str:
    """Returns the caller's own request id if it is sound, else a new one."""
    own = metadata.get(REQUEST_ID_KEY)
    return own if isinstance(own, str) and _REQUEST_ID.fullmatch(own) else secrets.token_hex(8)
