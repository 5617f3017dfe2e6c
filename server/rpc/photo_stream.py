"""Answers the messages of a stream side by side: so many at once, each answer sent as soon as it is there.

The next message is read only when an answer has left, so that a slow reader holds up itself and
nobody else's memory.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")


async def answer_each(
    requests: AsyncIterable[Request],
    answer: Callable[[Request], Awaitable[Response]],
    send: Callable[[Response], Awaitable[None]],
    *,
    in_flight: int,
) -> None:
    """Answers every request; returns when the last answer has been sent.

    Args:
        requests: Read one by one.
        answer: Turns a failure into a response: what it raises ends the stream.
        send: Called by one answer at a time.
        in_flight: Requests that have been read and not been answered, at least 1.

    Raises:
        Exception: What reading, answering or sending raised first.
    """
    places = asyncio.Semaphore(in_flight)
    sending = asyncio.Lock()

    async def handle(request: Request) -> None:
        response = await answer(request)
        async with sending:
            await send(response)
        places.release()

    try:
        async with asyncio.TaskGroup() as group:
            await places.acquire()
            async for request in requests:
                group.create_task(handle(request))
                await places.acquire()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
