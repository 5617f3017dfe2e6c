"""A router with everything around it, on engines that answer as they are told."""

from builders import make_release
from fakes import Answer, FakeClock, FakeEngines

from server.domain.inspection_id import InspectionIds
from server.domain.release import Release
from server.service.catalog import Catalog
from server.service.deadline import Deadline
from server.service.door import Door
from server.service.inspection import Inspection, InspectionRequest
from server.service.router import Router, RouterOptions

TIERS = ("fast", "medium", "full")
REQUEST = InspectionRequest(task="bread", photo=b"photo")


class Bench:
    """A router with everything around it."""

    def __init__(
        self, *tiers: str, release: Release | None = None, options: RouterOptions | None = None, **answers: Answer
    ) -> None:
        """Serves a release, or else the bread task with these tiers, and engines that answer so."""
        self.clock = FakeClock()
        self.engines = FakeEngines(answers)
        self.door = Door()
        self.door.open()
        self.ids = InspectionIds(b"k" * 16)
        catalog = Catalog()
        catalog.activate(release or make_release(*tiers or TIERS))
        self.router = Router(
            engines=self.engines, catalog=catalog, door=self.door, ids=self.ids, clock=self.clock, options=options
        )

    async def inspect(self, request: InspectionRequest = REQUEST, *, time_s: float = 10.0) -> Inspection:
        """Asks for an answer within some time."""
        return await self.router.inspect(request, Deadline(self.clock.now_s + time_s, self.clock))

    @property
    def visited(self) -> list[str]:
        """The tiers that were asked, in order."""
        return [each.model.rpartition("_")[2] for each in self.engines.calls]
