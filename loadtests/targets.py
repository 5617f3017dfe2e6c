"""What is measured: the gateway's public API, and the bare Triton ensemble below it, with the same photo."""

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2 as pb

from loadtests.closed_loop import Send
from loupe.v1 import inspection_service_pb2, inspection_service_pb2_grpc
from server.triton.wire import CHANNEL_OPTIONS, photo_bytes, photo_request

_TIMEOUT_S = 30.0


def gateway_send(channel: grpc.aio.Channel, task: str, photo: bytes) -> Send:
    """Returns what sends one photo through the public API."""
    stub = inspection_service_pb2_grpc.InspectionServiceStub(channel)
    request = inspection_service_pb2.InspectImageRequest(
        task=f"tasks/{task}", image=inspection_service_pb2.Image(content=photo)
    )

    async def send() -> object:
        return await stub.InspectImage(request, timeout=_TIMEOUT_S)

    return send


def triton_send(channel: grpc.aio.Channel, model: str, outputs: tuple[str, ...], photo: bytes) -> Send:
    """Returns what sends one photo straight to an ensemble, asking for the outputs that the gateway asks for."""
    call = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelInferResponse.FromString,
    )
    request = photo_request(model, outputs)
    request.raw_input_contents.append(photo_bytes(photo))

    async def send() -> object:
        return await call(request, timeout=_TIMEOUT_S)

    return send


def open_channel(address: str) -> grpc.aio.Channel:
    """Returns a channel that takes photos of any allowed size."""
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
