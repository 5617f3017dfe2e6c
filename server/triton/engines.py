"""The inference port on Triton: one photo in, the raw outputs of one engine out. The hot path.

One channel, the photo copied once, outputs read in place. Whatever goes wrong leaves here
as a domain error.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Self

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2 as pb

from server.domain.errors import DeadlineExpiredError, EngineFailedError
from server.domain.prediction import RawPrediction
from server.domain.release import EngineRef
from server.triton.tier_models import ATTENTION_MAP, UNCERTAINTY, UNCERTAINTY_WIDTH
from server.triton.wire import CHANNEL_OPTIONS, domain_error, outputs_of, photo_request, serialized_with_photo

_METHOD = "/inference.GRPCInferenceService/ModelInfer"


class TritonEngines:
    """Implements `server.domain.ports.Engines`."""

    def __init__(self, address: str) -> None:
        """Makes the channel, which connects by itself, now and after every restart of Triton.

        Args:
            address: A gRPC target, e.g. `EmbeddedTriton.address`.
        """
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        # Requests are serialized here already: see `serialized_with_photo`.
        self._infer: grpc.aio.UnaryUnaryMultiCallable[bytes, pb.ModelInferResponse] = self._channel.unary_unary(
            _METHOD, response_deserializer=pb.ModelInferResponse.FromString
        )

    async def __aenter__(self) -> Self:
        """Returns itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the channel."""
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def infer(
        self, engine: EngineRef, photo: bytes, *, heads: Sequence[str], with_attention: bool, timeout_s: float
    ) -> RawPrediction:
        """Runs one engine on one encoded photo; see the port.

        A cancelled call is cancelled on the wire too, though Triton runs what it has begun.
        """
        if timeout_s <= 0:
            raise DeadlineExpiredError(f"no time is left for {engine.model}")
        request = serialized_with_photo(_request(engine.model, tuple(heads), with_attention), photo)
        try:
            response = await self._infer(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise domain_error(error, engine.model) from error
        return raw_prediction(response, heads=heads, with_attention=with_attention)


def raw_prediction(response: pb.ModelInferResponse, *, heads: Sequence[str], with_attention: bool) -> RawPrediction:
    """Reads the answer for one photo.

    Raises:
        EngineFailedError: An output is missing, has another shape, or is not a finite number.
    """
    outputs = outputs_of(response)
    try:
        logits = {head: outputs[head][0] for head in heads}
        uncertainty = outputs[UNCERTAINTY][0]
        attention = outputs[ATTENTION_MAP][0] if with_attention else None
    except (KeyError, IndexError) as error:
        raise EngineFailedError(response.model_name, f"no output {error}") from error
    distance, variance = uncertainty.tolist() if uncertainty.shape == (UNCERTAINTY_WIDTH,) else (math.nan, math.nan)
    # A sum is finite if and only if its parts are, but for overflow, which is malformed too.
    if not math.isfinite(sum((float(each.sum()) for each in logits.values()), start=distance + variance)):
        raise EngineFailedError(response.model_name, "an output is not finite")
    return RawPrediction(logits=logits, feature_distance=distance, logit_variance=variance, attention=attention)


@lru_cache(maxsize=256)
def _request(model: str, heads: tuple[str, ...], with_attention: bool) -> bytes:  # noqa: FBT001
    """Returns the serialized request for one photo but for the photo itself."""
    names = (*heads, UNCERTAINTY, ATTENTION_MAP) if with_attention else (*heads, UNCERTAINTY)
    serialized: bytes = photo_request(model, names).SerializeToString()
    return serialized
