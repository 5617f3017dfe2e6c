"""Metrics that are served, and a router whose inspections they measure."""

import asyncio
from urllib.request import urlopen

from builders import make_release
from fakes import FakeClock, FakeEngines
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from server.adapters.metrics import Metrics
from server.domain.inspection_id import InspectionIds
from server.service.catalog import Catalog
from server.service.deadline import Deadline
from server.service.door import Door
from server.service.inspection import Inspection, InspectionRequest
from server.service.router import Router


class Measured:
    """Metrics that are served, and a router to watch."""

    def __init__(self) -> None:
        """Serves the bread task with two tiers."""
        self.engines = FakeEngines()
        self.clock = FakeClock()
        door, catalog = Door(), Catalog()
        door.open()
        catalog.activate(make_release("fast", "full"))
        self.router = Router(
            engines=self.engines, catalog=catalog, door=door, ids=InspectionIds(b"k" * 16), clock=self.clock
        )
        self.metrics = Metrics(
            "127.0.0.1:0",
            code_of=lambda error: type(error).__name__,
            read_tasks=catalog.task_ids,
            read_loads=self.router.loads,
        )
        self.url = self.metrics.start()

    def inspect(self) -> Inspection:
        """Answers a photo."""
        deadline = Deadline(self.clock.now_s + 10, self.clock)
        return asyncio.run(self.router.inspect(InspectionRequest("bread", b"photo"), deadline))

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """Scrapes one figure: its values by the values of its labels, in the order of their names."""
        return {
            tuple(value for label, value in sorted(sample.labels.items()) if label != "le"): sample.value
            for sample in self.scraped()
            if sample.name == name
        }

    def scraped(self) -> list[Sample]:
        """Returns everything that Prometheus would get."""
        with urlopen(self.url) as response:  # noqa: S310 -- our own endpoint
            families = list(text_string_to_metric_families(response.read().decode()))
        return [sample for family in families for sample in family.samples]
