"""`loupe.v1.InspectionService`: validate, ask the router, convert."""

from loupe.v1 import inspection_service_pb2 as pb
from loupe.v1 import inspection_service_pb2_grpc as pb_grpc
from server.domain.ports import Clock
from server.rpc import convert, validate
from server.rpc.interceptors import Context
from server.service.deadline import DeadlinePolicy
from server.service.router import Router


class InspectionServicer(pb_grpc.InspectionServiceServicer):
    """Answers `InspectImage`; the other methods come with their issues."""

    def __init__(self, router: Router, deadlines: DeadlinePolicy, clock: Clock) -> None:
        """Speaks for a router.

        Args:
            router: Answers inspections.
            deadlines: What deadlines requests get.
            clock: What time it is.
        """
        self._router = router
        self._deadlines = deadlines
        self._clock = clock

    async def InspectImage(  # noqa: D102, N802 -- the contract names and documents it
        self, request: pb.InspectImageRequest, context: Context
    ) -> pb.InspectImageResponse:
        deadline = self._deadlines.begin(context.time_remaining(), self._clock)
        inspection = await self._router.inspect(validate.inspection_request(request), deadline)
        return convert.inspection_response(inspection, alternative_count=request.alternative_count)
