"""Many photos on one call: what goes out for each, and what comes back, in the order in which answers are ready."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Unpack

from loupe.errors import LoupeError, error_of_status
from loupe.options import InspectFields, Photo, inspect_request
from loupe.v1 import inspection_service_pb2 as inspection_pb


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """What became of one photo of a stream: an answer or an error, never both.

    Attributes:
        index: Which photo, counted from 0.
        answer: The answer, or None.
        error: Why there is none, or None.
    """

    index: int
    answer: inspection_pb.InspectImageResponse | None
    error: LoupeError | None

    def result(self) -> inspection_pb.InspectImageResponse:
        """Returns the answer.

        Raises:
            LoupeError: There is none.
        """
        if self.error is not None:
            raise self.error
        if self.answer is None:
            raise ValueError("neither an answer nor an error")
        return self.answer


def streamed_request(
    index: int, photo: Photo, *, task: str, timeout_s: float, **fields: Unpack[InspectFields]
) -> inspection_pb.StreamInspectImagesRequest:
    """Returns the message of one photo; its correlation id is its index.

    Args:
        index: Which photo, counted from 0.
        photo: The encoded bytes, or the path of the file.
        task: The task's id or resource name.
        timeout_s: The time allowed for this photo, above 0.
        **fields: See `InspectFields`.
    """
    message = inspection_pb.StreamInspectImagesRequest(
        correlation_id=str(index), inspect_image=inspect_request(photo, task=task, **fields)
    )
    message.timeout.FromNanoseconds(round(timeout_s * 1e9))
    return message


def streamed_answer(response: inspection_pb.StreamInspectImagesResponse) -> StreamedAnswer:
    """Reads the message that answers one photo."""
    index = int(response.correlation_id)
    if response.HasField("error"):
        return StreamedAnswer(index, None, error_of_status(response.error))
    return StreamedAnswer(index, response.inspect_image, None)


@contextmanager
def remembered(errors: list[Exception]) -> Iterator[None]:
    """Keeps what a caller's photos raise: gRPC only says that a call could not go on."""
    try:
        yield
    except Exception as error:
        errors.append(error)
        raise
