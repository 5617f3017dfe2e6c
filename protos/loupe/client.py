"""LoupeClient and AsyncLoupeClient: thin, typed clients with deadlines, retries, TLS and a token.

Every call has a deadline, and every failure is a `loupe.errors.LoupeError`. A client holds one
connection and takes many calls at once: make it once and share it.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Final, Self, TypeVar, Unpack

import grpc
import grpc.aio

from loupe.errors import DeadlineExpiredError, Failure, error_of
from loupe.options import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT_S,
    ClientOptions,
    InspectFields,
    Photo,
    Tls,
    inspect_request,
    task_name,
)
from loupe.retry import Retry
from loupe.streaming import StreamedAnswer, remembered, streamed_answer, streamed_request
from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import inspection_service_pb2_grpc as inspection_grpc
from loupe.v1 import task_service_pb2 as task_pb
from loupe.v1 import task_service_pb2_grpc as task_grpc

Answer = TypeVar("Answer")

_POLL_S: Final = 0.05
_HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
# An empty HealthCheckRequest, and a HealthCheckResponse of SERVING: not worth a dependency.
_WHOLE_SERVER: Final = b""
_SERVING: Final = b"\x08\x01"


class LoupeClient:
    """Speaks to a gateway from any thread; a context manager that closes its connection."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: Retry | None = None,
        tls: Tls | None = None,
        token: str | None = None,
    ) -> None:
        """Connects when it is first used; see `ClientOptions`."""
        self._options = ClientOptions(address, timeout_s, retry or Retry(), tls, token)
        credentials, options = self._options.credentials(), self._options.channel_options()
        self._channel = (
            grpc.insecure_channel(address, options=options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options=options)
        )
        self._inspection = inspection_grpc.InspectionServiceStub(self._channel)
        self._task = task_grpc.TaskServiceStub(self._channel)
        self._health: Callable[..., bytes] = self._channel.unary_unary(_HEALTH_CHECK)

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        self._channel.close()

    def inspect(
        self, photo: Photo, *, task: str, timeout_s: float | None = None, **fields: Unpack[InspectFields]
    ) -> inspection_pb.InspectImageResponse:
        """Inspects one photo.

        Args:
            photo: The encoded bytes, or the path of the file.
            task: The task's id or resource name.
            timeout_s: The time allowed, retries included; the client's own if None.
            **fields: See `InspectFields`.

        Raises:
            LoupeError: There is no answer; see `loupe.errors`.
        """
        return self.inspect_image(inspect_request(photo, task=task, **fields), timeout_s=timeout_s)

    def inspect_image(
        self, request: inspection_pb.InspectImageRequest, *, timeout_s: float | None = None
    ) -> inspection_pb.InspectImageResponse:
        """Sends a request as it is; arguments and errors are those of `inspect`."""
        return self._call(self._inspection.InspectImage, request, timeout_s)

    def inspect_all(
        self,
        photos: Iterable[Photo],
        *,
        task: str,
        photo_timeout_s: float | None = None,
        timeout_s: float | None = None,
        **fields: Unpack[InspectFields],
    ) -> Iterator[StreamedAnswer]:
        """Inspects many photos on one call; yields what became of each as soon as it is known, in any order.

        Nothing is tried again: a photo whose `error` is worth a retry can be sent once more.

        Args:
            photos: Read as fast as the server takes them, by another thread.
            task: The task's id or resource name.
            photo_timeout_s: The time allowed for each photo; the client's own if None.
            timeout_s: The time allowed for all of them together; no limit if None.
            **fields: See `InspectFields`.

        Raises:
            LoupeError: The whole stream failed; see `loupe.errors`.
            Exception: What `photos` raised, e.g. OSError for a file that cannot be read.
        """
        each_s = self._options.timeout_s if photo_timeout_s is None else photo_timeout_s
        unreadable: list[Exception] = []

        def messages() -> Iterator[inspection_pb.StreamInspectImagesRequest]:
            with remembered(unreadable):
                for index, photo in enumerate(photos):
                    yield streamed_request(index, photo, task=task, timeout_s=each_s, **fields)

        call = self._inspection.StreamInspectImages(messages(), timeout=timeout_s, metadata=self._options.metadata())
        try:
            yield from map(streamed_answer, call)
        except grpc.RpcError as error:
            raise next(iter(unreadable), None) or error_of(error) from error
        finally:
            call.cancel()

    def list_tasks(self, *, timeout_s: float | None = None) -> list[task_pb.Task]:
        """Returns all tasks that are served.

        Raises:
            LoupeError: There is no answer; see `loupe.errors`.
        """
        tasks: list[task_pb.Task] = []
        request = task_pb.ListTasksRequest()
        while True:
            response = self._call(self._task.ListTasks, request, timeout_s)
            tasks += response.tasks
            if not response.next_page_token:
                return tasks
            request.page_token = response.next_page_token

    def get_task(self, task: str, *, timeout_s: float | None = None) -> task_pb.Task:
        """Returns one task, by its id or resource name.

        Raises:
            LoupeError: There is no answer; see `loupe.errors`.
        """
        return self._call(self._task.GetTask, task_pb.GetTaskRequest(task=task_name(task)), timeout_s).task

    def is_serving(self, *, timeout_s: float = 1.0) -> bool:
        """Whether the gateway can be reached and says that it serves."""
        try:
            return self._health(_WHOLE_SERVER, timeout=timeout_s) == _SERVING
        except grpc.RpcError:
            return False

    def wait_until_serving(self, *, timeout_s: float) -> None:
        """Returns when the gateway serves.

        Raises:
            DeadlineExpiredError: It does not, for all that time.
        """
        until_s = time.monotonic() + timeout_s
        while not self.is_serving():
            if time.monotonic() > until_s:
                raise _not_serving(self._options.address, timeout_s)
            time.sleep(_POLL_S)

    def _call(self, method: Callable[..., Answer], request: object, timeout_s: float | None) -> Answer:
        metadata = self._options.metadata()
        until_s = time.monotonic() + (self._options.timeout_s if timeout_s is None else timeout_s)
        attempt = 0
        while True:
            attempt += 1
            try:
                return method(request, timeout=until_s - time.monotonic(), metadata=metadata)
            except grpc.RpcError as error:
                delay_s = _delay_s(self._options.retry, error, attempt, until_s)
            time.sleep(delay_s)


class AsyncLoupeClient:
    """Speaks to a gateway from one event loop; an async context manager that closes its connection."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: Retry | None = None,
        tls: Tls | None = None,
        token: str | None = None,
    ) -> None:
        """Connects when it is first used; belongs to the event loop that runs now; see `ClientOptions`."""
        self._options = ClientOptions(address, timeout_s, retry or Retry(), tls, token)
        credentials, options = self._options.credentials(), self._options.channel_options()
        self._channel = (
            grpc.aio.insecure_channel(address, options=options)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=options)
        )
        self._inspection = inspection_grpc.InspectionServiceStub(self._channel)
        self._task = task_grpc.TaskServiceStub(self._channel)
        self._health: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_HEALTH_CHECK)

    async def __aenter__(self) -> Self:
        """Returns itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the connection."""
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        await self._channel.close()

    async def inspect(
        self, photo: Photo, *, task: str, timeout_s: float | None = None, **fields: Unpack[InspectFields]
    ) -> inspection_pb.InspectImageResponse:
        """Inspects one photo; arguments and errors are those of `LoupeClient.inspect`."""
        return await self.inspect_image(inspect_request(photo, task=task, **fields), timeout_s=timeout_s)

    async def inspect_image(
        self, request: inspection_pb.InspectImageRequest, *, timeout_s: float | None = None
    ) -> inspection_pb.InspectImageResponse:
        """Sends a request as it is; arguments and errors are those of `inspect`."""
        return await self._call(self._inspection.InspectImage, request, timeout_s)

    async def inspect_all(
        self,
        photos: Iterable[Photo] | AsyncIterable[Photo],
        *,
        task: str,
        photo_timeout_s: float | None = None,
        timeout_s: float | None = None,
        **fields: Unpack[InspectFields],
    ) -> AsyncIterator[StreamedAnswer]:
        """Inspects many photos on one call; arguments, answers and errors are those of `LoupeClient.inspect_all`."""
        each_s = self._options.timeout_s if photo_timeout_s is None else photo_timeout_s
        unreadable: list[Exception] = []

        async def messages() -> AsyncIterator[inspection_pb.StreamInspectImagesRequest]:
            index = 0
            with remembered(unreadable):
                async for photo in _each(photos):
                    yield streamed_request(index, photo, task=task, timeout_s=each_s, **fields)
                    index += 1

        call = self._inspection.StreamInspectImages(messages(), timeout=timeout_s, metadata=self._options.metadata())
        try:
            async for response in call:
                yield streamed_answer(response)
        except grpc.RpcError as error:
            raise error_of(error) from error
        except asyncio.CancelledError:
            # grpc.aio cancels a call whose requests cannot be read.
            if unreadable:
                raise unreadable[0] from None
            raise
        finally:
            call.cancel()

    async def list_tasks(self, *, timeout_s: float | None = None) -> list[task_pb.Task]:
        """Returns all tasks that are served.

        Raises:
            LoupeError: There is no answer; see `loupe.errors`.
        """
        tasks: list[task_pb.Task] = []
        request = task_pb.ListTasksRequest()
        while True:
            response = await self._call(self._task.ListTasks, request, timeout_s)
            tasks += response.tasks
            if not response.next_page_token:
                return tasks
            request.page_token = response.next_page_token

    async def get_task(self, task: str, *, timeout_s: float | None = None) -> task_pb.Task:
        """Returns one task, by its id or resource name.

        Raises:
            LoupeError: There is no answer; see `loupe.errors`.
        """
        response = await self._call(self._task.GetTask, task_pb.GetTaskRequest(task=task_name(task)), timeout_s)
        return response.task

    async def is_serving(self, *, timeout_s: float = 1.0) -> bool:
        """Whether the gateway can be reached and says that it serves."""
        try:
            return await self._health(_WHOLE_SERVER, timeout=timeout_s) == _SERVING
        except grpc.RpcError:
            return False

    async def wait_until_serving(self, *, timeout_s: float) -> None:
        """Returns when the gateway serves.

        Raises:
            DeadlineExpiredError: It does not, for all that time.
        """
        until_s = time.monotonic() + timeout_s
        while not await self.is_serving():
            if time.monotonic() > until_s:
                raise _not_serving(self._options.address, timeout_s)
            await asyncio.sleep(_POLL_S)

    async def _call(self, method: Callable[..., Awaitable[Answer]], request: object, timeout_s: float | None) -> Answer:
        metadata = self._options.metadata()
        until_s = time.monotonic() + (self._options.timeout_s if timeout_s is None else timeout_s)
        attempt = 0
        while True:
            attempt += 1
            try:
                return await method(request, timeout=until_s - time.monotonic(), metadata=metadata)
            except grpc.RpcError as error:
                delay_s = _delay_s(self._options.retry, error, attempt, until_s)
            await asyncio.sleep(delay_s)


async def _each(photos: Iterable[Photo] | AsyncIterable[Photo]) -> AsyncIterator[Photo]:
    """Yields photos from either kind of source."""
    if isinstance(photos, AsyncIterable):
        async for photo in photos:
            yield photo
    else:
        for photo in photos:
            yield photo


def _delay_s(retry: Retry, error: grpc.RpcError, attempt: int, until_s: float) -> float:
    """Returns how long to wait before the next attempt.

    Raises:
        LoupeError: There will be none; the error that the last attempt failed with.
    """
    failure = error_of(error)
    delay_s = retry.delay_s(
        failure,
        attempt=attempt,
        remaining_s=until_s - time.monotonic(),
        draw=random.random(),  # noqa: S311 -- jitter
    )
    if delay_s is None:
        raise failure from error
    return delay_s


def _not_serving(address: str, waited_s: float) -> DeadlineExpiredError:
    message = f"{address} does not serve after {waited_s:g} s"
    return DeadlineExpiredError(Failure(grpc.StatusCode.DEADLINE_EXCEEDED, message))
