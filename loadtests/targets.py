"""What is measured: the gateway's public API, and the bare Triton ensemble below it, with the same photos."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2 as pb

from loadtests.closed_loop import Send
from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import inspection_service_pb2_grpc
from server.triton.wire import CHANNEL_OPTIONS, photo_bytes, photo_request

_TIMEOUT_S = 30.0

Answer = TypeVar("Answer")
SendPhoto = Callable[[], Awaitable[inspection_pb.InspectImageResponse]]


def gateway_sends(
    channel: grpc.aio.Channel, task: str, photos: Sequence[bytes], *, min_tier: str = "", max_tier: str = ""
) -> list[SendPhoto]:
    """Returns for each photo what sends it through the public API.

    Args:
        channel: To the gateway.
        task: The task's id.
        photos: Encoded.
        min_tier: The tier to begin with; the release's first if empty.
        max_tier: The strongest tier that may run; the release's last if empty.
    """
    inspect = inspection_service_pb2_grpc.InspectionServiceStub(channel).InspectImage
    policy = inspection_pb.CascadePolicy(min_tier=min_tier, max_tier=max_tier)

    def send_of(photo: bytes) -> SendPhoto:
        image = inspection_pb.Image(content=photo)
        request = inspection_pb.InspectImageRequest(task=f"tasks/{task}", image=image, policy=policy)

        async def send() -> inspection_pb.InspectImageResponse:
            return await inspect(request, timeout=_TIMEOUT_S)

        return send

    return [send_of(each) for each in photos]


def triton_sends(
    channel: grpc.aio.Channel, model: str, outputs: tuple[str, ...], photos: Sequence[bytes]
) -> list[Send]:
    """Returns for each photo what sends it straight to an ensemble, asking for what the gateway asks for."""
    infer = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelInferResponse.FromString,
    )

    def send_of(photo: bytes) -> Send:
        request = photo_request(model, outputs)
        request.raw_input_contents.append(photo_bytes(photo))

        async def send() -> object:
            return await infer(request, timeout=_TIMEOUT_S)

        return send

    return [send_of(each) for each in photos]


def in_turn(sends: Sequence[Callable[[], Awaitable[Answer]]]) -> Callable[[], Awaitable[Answer]]:
    """Returns what sends one photo after the other, and begins again after the last."""

    def endless() -> Iterator[Callable[[], Awaitable[Answer]]]:
        while True:
            yield from sends

    following = endless()

    async def send() -> Answer:
        return await next(following)()

    return send


def open_channel(address: str) -> grpc.aio.Channel:
    """Returns a channel that takes photos of any allowed size."""
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
