"""`loupe.v1.InspectionService`: validate, ask the router, convert."""

from collections.abc import AsyncIterator

from loupe.v1 import inspection_service_pb2 as pb
from loupe.v1 import inspection_service_pb2_grpc as pb_grpc
from server.domain.ports import Clock
from server.rpc import convert, validate
from server.rpc.interceptors import Context, status_for_caller
from server.rpc.photo_stream import answer_each
from server.service.deadline import DeadlinePolicy
from server.service.observer import Observer, Unobserved
from server.service.router import Router


class InspectionServicer(pb_grpc.InspectionServiceServicer):
    """Answers `InspectImage` and `StreamInspectImages`; the other methods come with their issues."""

    def __init__(
        self,
        router: Router,
        *,
        deadlines: DeadlinePolicy,
        clock: Clock,
        stream_in_flight: int,
        observer: Observer | None = None,
    ) -> None:
        """Speaks for a router.

        Args:
            router: Answers inspections.
            deadlines: What deadlines requests get.
            clock: What time it is.
            stream_in_flight: Photos of one stream that are answered at once, at least 1.
            observer: Is told of every photo that was answered or refused.
        """
        self._router = router
        self._deadlines = deadlines
        self._clock = clock
        self._stream_in_flight = stream_in_flight
        self._observer = observer or Unobserved()

    async def InspectImage(  # noqa: D102, N802 -- the contract names and documents it
        self, request: pb.InspectImageRequest, context: Context
    ) -> pb.InspectImageResponse:
        return await self._inspect(request, context.time_remaining())

    # grpc.aio also takes a coroutine that writes; the stubs do not know.
    async def StreamInspectImages(  # type: ignore[override] # noqa: D102, N802 -- the contract documents it
        self, request_iterator: AsyncIterator[pb.StreamInspectImagesRequest], context: Context
    ) -> None:
        under_way: set[str] = set()

        async def answer(message: pb.StreamInspectImagesRequest) -> pb.StreamInspectImagesResponse:
            response = pb.StreamInspectImagesResponse(correlation_id=message.correlation_id)
            try:
                request, timeout_s = validate.photo_of_stream(message, under_way)
                timeout_s = _shorter(timeout_s, context.time_remaining())
                under_way.add(message.correlation_id)
                try:
                    response.inspect_image.CopyFrom(await self._inspect(request, timeout_s, in_stream=True))
                finally:
                    under_way.remove(message.correlation_id)
            except Exception as error:  # noqa: BLE001 -- the photo's own answer says it, and the stream goes on
                response.error.CopyFrom(status_for_caller(error))
            return response

        await answer_each(request_iterator, answer, context.write, in_flight=self._stream_in_flight)

    async def _inspect(
        self, request: pb.InspectImageRequest, timeout_s: float | None, *, in_stream: bool = False
    ) -> pb.InspectImageResponse:
        deadline = self._deadlines.begin(timeout_s, self._clock)
        began_s = self._clock.monotonic_s()
        try:
            inspection = await self._router.inspect(validate.inspection_request(request, in_stream=in_stream), deadline)
        except BaseException as error:
            self._observer.failed(request.task, error, self._clock.monotonic_s() - began_s)
            raise
        self._observer.answered(inspection)
        return convert.inspection_response(inspection, alternative_count=request.alternative_count)


def _shorter(one_s: float | None, other_s: float | None) -> float | None:
    """Returns the shorter of two times, None being no limit."""
    stated = [each for each in (one_s, other_s) if each is not None]
    return min(stated, default=None)
