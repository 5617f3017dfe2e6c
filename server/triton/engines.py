"""The inference port on Triton: photos in, the raw outputs of one engine out. The hot path.

One channel, each photo copied once, outputs read in place. Whatever goes wrong leaves here
as a domain error.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Self, cast

import grpc
import grpc.aio
import numpy as np
from tritonclient.grpc import service_pb2 as pb

from server.domain.errors import DeadlineExpiredError, EngineFailedError
from server.domain.ports import Tracer, Untraced
from server.domain.prediction import Photo, Pixels, RawPrediction, Wanted
from server.domain.release import EngineRef
from server.triton.tier_models import ATTENTION_MAP, DECODED, IMAGE, UNCERTAINTY, UNCERTAINTY_WIDTH, engine_model
from server.triton.wire import (
    CHANNEL_OPTIONS,
    Array,
    domain_error,
    outputs_of,
    photo_request,
    pixels_request,
    serialized_with_photos,
    serialized_with_pixels,
)

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

    async def infer(self, engine: EngineRef, photo: Photo, wanted: Wanted, *, timeout_s: float) -> RawPrediction:
        """Runs one engine on one photo; see the port."""
        alone = cast("list[bytes] | list[Pixels]", [photo])
        [prediction] = await self.infer_many(engine, alone, wanted, timeout_s=timeout_s)
        return prediction

    async def infer_many(
        self,
        engine: EngineRef,
        photos: Sequence[bytes] | Sequence[Pixels],
        wanted: Wanted,
        *,
        timeout_s: float,
    ) -> Sequence[RawPrediction]:
        """Runs one engine on some photos, in one call; if one of them fails, all do.

        Encoded ones go to the ensemble, decoded ones straight to its second step. A cancelled call is cancelled on the
        wire too, though Triton runs what it has begun. Arguments and errors are those of the port; there is one answer
        a photo, in order.
        """
        if timeout_s <= 0:
            raise DeadlineExpiredError(f"no time is left for {engine.model}")
        try:
            with self._tracer.step("triton"):
                response = await self._infer(
                    _serialized(engine, photos, wanted), timeout=timeout_s, metadata=self._tracer.headers()
                )
        except grpc.RpcError as error:
            raise domain_error(error, engine.model) from error
        return raw_predictions(response, count=len(photos), wanted=wanted, size_px=engine.input_size_px)


def raw_predictions(
    response: pb.ModelInferResponse, *, count: int, wanted: Wanted, size_px: int
) -> list[RawPrediction]:
    """Reads the answers for some photos.

    Args:
        response: Of Triton.
        count: Of the photos.
        wanted: What was asked for.
        size_px: The side of the engine's input.

    Raises:
        EngineFailedError: An output is missing, has another shape, or is not a finite number.
    """
    outputs = outputs_of(response)
    try:
        logits = {head: outputs[head] for head in wanted.heads}
        uncertainty = outputs[UNCERTAINTY]
        attention = outputs[ATTENTION_MAP] if wanted.attention else None
        images = outputs[IMAGE] if wanted.pixels else None
    except KeyError as error:
        raise EngineFailedError(response.model_name, f"no output {error}") from error
    read = [uncertainty, *logits.values()] if attention is None else [uncertainty, attention, *logits.values()]
    if uncertainty.shape != (count, UNCERTAINTY_WIDTH) or any(len(each) != count for each in read):
        raise EngineFailedError(response.model_name, f"outputs are not for {count} photos")
    if images is not None and (images.shape != (count, size_px, size_px, 3) or images.dtype != np.uint8):
        raise EngineFailedError(response.model_name, f"the pixels are not {count} photos of {size_px} px")
    # A sum is finite if and only if its parts are, but for overflow, which is malformed too.
    if not math.isfinite(sum(float(each.sum()) for each in read)):
        raise EngineFailedError(response.model_name, "an output is not finite")
    return [
        RawPrediction(
            logits={head: values[each] for head, values in logits.items()},
            feature_distance=distance,
            logit_variance=variance,
            attention=None if attention is None else attention[each],
            pixels=None if images is None else _pixels(images[each], is_alone=count == 1),
        )
        for each, (distance, variance) in enumerate(uncertainty.tolist())
    ]


def _pixels(image: Array, *, is_alone: bool) -> Pixels:
    """Takes a decoded photo out of a response; a copy if there are others in it, which would else be kept along."""
    return Pixels(len(image), (image if is_alone else image.copy()).reshape(-1).data)


def _serialized(engine: EngineRef, photos: Sequence[bytes] | Sequence[Pixels], wanted: Wanted) -> bytes:
    """Returns the whole request; its head is made once for each kind of request."""
    if isinstance(photos[0], Pixels):
        head = _pixels_request(engine.model, engine.input_size_px, wanted, len(photos))
        return serialized_with_pixels(head, [each.content for each in cast("Sequence[Pixels]", photos)])
    return serialized_with_photos(_photo_request(engine, wanted, len(photos)), cast("Sequence[bytes]", photos))


@lru_cache(maxsize=1024)
def _photo_request(engine: EngineRef, wanted: Wanted, count: int) -> bytes:
    """Returns the serialized request for some encoded photos but for the photos themselves."""
    names = _outputs(wanted)
    if engine.gives_pixels:
        names = (*names, IMAGE if wanted.pixels else DECODED)
    serialized: bytes = photo_request(engine.model, names, count=count).SerializeToString()
    return serialized


@lru_cache(maxsize=1024)
def _pixels_request(model: str, size_px: int, wanted: Wanted, count: int) -> bytes:
    """Returns the serialized request for some decoded photos but for the photos themselves."""
    request = pixels_request(engine_model(model), _outputs(wanted), count=count, size_px=size_px)
    serialized: bytes = request.SerializeToString()
    return serialized


def _outputs(wanted: Wanted) -> tuple[str, ...]:
    return (*wanted.heads, UNCERTAINTY, ATTENTION_MAP) if wanted.attention else (*wanted.heads, UNCERTAINTY)
