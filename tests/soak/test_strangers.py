"""Photos of something else, through the demo release as it serves: they are flagged, and photos of the task are not.

The real photos lie beside the checkout where there are any; the rendered ones under `data`, if they were drawn.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from gateway_process import Served, serving
from rich.console import Console
from rich.table import Table

from loadtests.photos import find_photos
from loupe.client import AsyncLoupeClient
from loupe.v1.prediction_pb2 import RECOMMENDATION_RETAKE_REQUIRED

pytestmark = [pytest.mark.soak, pytest.mark.integration]

TASK = "cannabis"
MOST_FALSE_ALARMS = 0.05
LEAST_FLAGGED = {"magnetic tiles": 0.90, "photos of anything": 0.80}


@pytest.fixture(scope="module")
def served(repository_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The newest committed release."""
    with serving(repository_root / "model_repository", tmp_path_factory.mktemp("run")) as gateway:
        yield gateway


async def flagged(client: AsyncLoupeClient, name: str, photos: Sequence[Path]) -> float:
    """Sends photos, prints by tier how many of them are flagged, and returns the share."""
    answered: Counter[str] = Counter()
    strange: Counter[str] = Counter()
    async for each in client.inspect_all(photos, task=TASK):
        answer = each.result()
        tier = answer.trace.tier
        answered[tier] += 1
        if answer.uncertainty.out_of_distribution:
            strange[tier] += 1
            assert answer.recommendation == RECOMMENDATION_RETAKE_REQUIRED
    assert answered.total() == len(photos)
    share = strange.total() / len(photos)
    table = Table("answered by", "photos", "flagged", title=f"{name}: {share:.1%} of {len(photos):,} flagged")
    for tier, count in answered.items():
        table.add_row(tier, f"{count:,}", f"{strange[tier] / count:.1%}")
    Console(width=100).print(table)
    return share


async def test_strangers_are_flagged(served: Served, shared_material: Path) -> None:
    """Most photos of magnetic tiles, and most of photos of anything, are called out of distribution."""
    with (shared_material / "hostile_images" / "MANIFEST.csv").open(newline="") as manifest:
        names = [each["file"] for each in csv.DictReader(manifest) if each["expect"] == "accept"]
    photos = {
        "magnetic tiles": sorted((shared_material / "data" / "magnetic_tiles").glob("*/*.jpg")),
        "photos of anything": [shared_material / "hostile_images" / each for each in names],
    }
    async with served.client() as client:
        shares = {name: await flagged(client, name, each) for name, each in photos.items()}
    assert all(share >= LEAST_FLAGGED[name] for name, share in shares.items()), shares


async def test_photos_of_the_task_are_not(served: Served, repository_root: Path) -> None:
    """At most one in twenty rendered test photos is called out of distribution."""
    dataset = repository_root / "data" / TASK
    if not (dataset / "index.jsonl").is_file():
        pytest.skip(f"no photos of the task here; draw them with: loupe-train render {TASK}")
    photos = find_photos(None, dataset=dataset, release=dataset, seed=20_261_125).paths
    async with served.client() as client:
        assert await flagged(client, "rendered test photos", photos) <= MOST_FALSE_ALARMS
