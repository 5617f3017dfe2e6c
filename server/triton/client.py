"""The control side of one Triton: readiness, loading and unloading, and single calls to any model.

Not for the path of requests, which is `server.triton.engines`.
"""

from collections.abc import Sequence
from typing import Self

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from server.domain.errors import BackendUnavailableError
from server.triton.errors import ModelLoadError
from server.triton.wire import (
    CHANNEL_OPTIONS,
    Array,
    domain_error,
    outputs_of,
    photo_bytes,
    photo_request,
    tensor_request,
)


class TritonClient:
    """Speaks to one Triton server over one channel, made when it is first used."""

    def __init__(self, address: str) -> None:
        """Remembers the address; nothing is sent yet.

        Args:
            address: A gRPC target, e.g. `unix:/run/x/grpc:1` or `127.0.0.1:8001`.
        """
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        """Returns itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the channel."""
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def is_ready(self, *, timeout_s: float = 1.0) -> bool:
        """Whether the server answers and says that it is ready."""
        try:
            response = await self._stub.ServerReady(pb.ServerReadyRequest(), timeout=timeout_s)
        except grpc.RpcError:
            return False
        return bool(response.ready)

    async def load(self, model: str, *, timeout_s: float) -> None:
        """Loads a model, and the steps of an ensemble with it; does nothing for an unchanged one.

        Raises:
            ModelLoadError: Triton refuses it.
            BackendUnavailableError: Triton is gone.
        """
        try:
            await self._stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=model), timeout=timeout_s)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise BackendUnavailableError(f"Triton is gone while it loads {model}") from error
            raise ModelLoadError(model, error.details() or error.code().name) from error

    async def unload(self, model: str, *, timeout_s: float) -> None:
        """Unloads one model; requests in flight finish, and the call does not wait for them.

        Raises:
            BackendUnavailableError: Triton is gone.
        """
        try:
            await self._stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name=model), timeout=timeout_s)
        except grpc.RpcError as error:
            raise BackendUnavailableError(f"Triton does not unload {model}: {error.details()}") from error

    async def send_photo(
        self, model: str, photo: bytes, *, outputs: Sequence[str], timeout_s: float
    ) -> dict[str, Array]:
        """Sends one encoded photo to a model and returns some of its outputs by name, batch first.

        Raises:
            LoupeError: The model does not answer; see `server.triton.wire.domain_error`.
        """
        request = photo_request(model, outputs)
        request.raw_input_contents.append(photo_bytes(photo))
        return await self._infer(request, timeout_s)

    async def send_tensor(self, model: str, name: str, tensor: Array, *, timeout_s: float) -> dict[str, Array]:
        """Sends one tensor, batch first, to a model and returns all of its outputs by name.

        Raises:
            LoupeError: The model does not answer; see `server.triton.wire.domain_error`.
        """
        return await self._infer(tensor_request(model, name, tensor), timeout_s)

    async def _infer(self, request: pb.ModelInferRequest, timeout_s: float) -> dict[str, Array]:
        try:
            response = await self._stub.ModelInfer(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise domain_error(error, request.model_name) from error
        return outputs_of(response)
