"""The inference port on Triton: photos in, the raw outputs of one engine out. The hot path.

One channel, each photo copied once, outputs read in place. Whatever goes wrong leaves here
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
from server.domain.ports import Tracer, Untraced
from server.domain.prediction import RawPrediction
from server.domain.release import EngineRef
from server.triton.tier_models import ATTENTION_MAP, UNCERTAINTY, UNCERTAINTY_WIDTH
from server.triton.wire import CHANNEL_OPTIONS, domain_error, outputs_of, photo_request, serialized_with_photos

_METHOD = "/inference.GRPCInferenceService/ModelInfer"


class TritonEngines:
    """Implements `server.domain.ports.Engines`."""

    def __init__(self, address: str, tracer: Tracer | None = None) -> None:
        """Makes the channel, which connects by itself, now and after every restart of Triton.

        Args:
            address: A gRPC target, e.g. `EmbeddedTriton.address`.
            tracer: Surrounds each call, and lets Triton continue its trace.
        """
        self._tracer = tracer or Untraced()
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        # Requests are serialized here already: see `serialized_with_photos`.
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
        """Runs one engine on one encoded photo; see the port."""
        [prediction] = await self.infer_many(
            engine, [photo], heads=heads, with_attention=with_attention, timeout_s=timeout_s
        )
        return prediction

    async def infer_many(
        self,
        engine: EngineRef,
        photos: Sequence[bytes],
        *,
        heads: Sequence[str],
        with_attention: bool,
        timeout_s: float,
    ) -> Sequence[RawPrediction]:
        """Runs one engine on some encoded photos, in one call; if one of them fails, all do.

        A cancelled call is cancelled on the wire too, though Triton runs what it has begun.
        Arguments and errors are those of the port; there is one answer a photo, in order.
        """
        if timeout_s <= 0:
            raise DeadlineExpiredError(f"no time is left for {engine.model}")
        request = serialized_with_photos(_request(engine.model, tuple(heads), with_attention, len(photos)), photos)
        try:
            with self._tracer.step("triton"):
                response = await self._infer(request, timeout=timeout_s, metadata=self._tracer.headers())
        except grpc.RpcError as error:
            raise domain_error(error, engine.model) from error
        return raw_predictions(response, count=len(photos), heads=heads, with_attention=with_attention)


def raw_predictions(
    response: pb.ModelInferResponse, *, count: int, heads: Sequence[str], with_attention: bool
) -> list[RawPrediction]:
    """Reads the answers for some photos.

    Raises:
        EngineFailedError: An output is missing, has another shape, or is not a finite number.
    """
    outputs = outputs_of(response)
    try:
        logits = {head: outputs[head] for head in heads}
        uncertainty = outputs[UNCERTAINTY]
        attention = outputs[ATTENTION_MAP] if with_attention else None
    except KeyError as error:
        raise EngineFailedError(response.model_name, f"no output {error}") from error
    read = [uncertainty, *logits.values()] if attention is None else [uncertainty, attention, *logits.values()]
    if uncertainty.shape != (count, UNCERTAINTY_WIDTH) or any(len(each) != count for each in read):
        raise EngineFailedError(response.model_name, f"outputs are not for {count} photos")
    # A sum is finite if and only if its parts are, but for overflow, which is malformed too.
    if not math.isfinite(sum(float(each.sum()) for each in read)):
        raise EngineFailedError(response.model_name, "an output is not finite")
    return [
        RawPrediction(
            logits={head: values[each] for head, values in logits.items()},
            feature_distance=distance,
            logit_variance=variance,
            attention=None if attention is None else attention[each],
        )
        for each, (distance, variance) in enumerate(uncertainty.tolist())
    ]


@lru_cache(maxsize=1024)
def _request(model: str, heads: tuple[str, ...], with_attention: bool, count: int) -> bytes:  # noqa: FBT001
    """Returns the serialized request for some photos but for the photos themselves."""
    names = (*heads, UNCERTAINTY, ATTENTION_MAP) if with_attention else (*heads, UNCERTAINTY)
    serialized: bytes = photo_request(model, names, count=count).SerializeToString()
    return serialized
