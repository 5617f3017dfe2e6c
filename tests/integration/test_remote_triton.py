"""A gateway on a Triton that somebody else runs: proved first, waited for when it is away, proved again."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_process import Served, serving
from toy_engine import toy_photo
from toy_release import write_toy_release

from loupe.errors import LoupeError, UnavailableError
from server.adapters.release_files import load_release
from server.triton.embedded import EmbeddedTriton
from server.triton.repository import Target, write_tier_models
from server.triton.tier_models import TierModelSpec

pytestmark = pytest.mark.integration


@pytest.fixture
async def others_triton(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedTriton, Path]]:
    """A Triton that runs without the gateway, and the model repository that it has."""
    models, run_root = tmp_path / "models", tmp_path / "run"
    run_root.mkdir()
    write_toy_release(models, "fast")
    async with EmbeddedTriton() as triton:
        release = load_release(models, "bread", 1)
        for tier in release.tiers:
            spec = TierModelSpec.from_release(release.task, tier.engine, repository_root=models)
            write_tier_models(spec, triton.repository, target=Target.EMBEDDED)
        yield triton, models


async def test_a_gateway_serves_from_a_remote_triton(
    others_triton: tuple[EmbeddedTriton, Path], tmp_path: Path
) -> None:
    """It loads and proves the release there; when Triton goes away calls say so, and it serves again by itself."""
    triton, models = others_triton
    run_root = tmp_path / "run"
    starting = serving(models, run_root, triton_address=triton.address)
    gateway: Served = await asyncio.to_thread(starting.__enter__)
    try:
        async with gateway.client() as client:
            assert (await client.inspect(toy_photo(), task="bread")).inspection
            assert not list(run_root.glob("loupe_*"))
            await triton.restart()  # with no model loaded
            failures: list[LoupeError] = []
            began_s = time.monotonic()
            while True:
                try:
                    await client.inspect(toy_photo(), task="bread", timeout_s=5)
                    break
                except LoupeError as error:
                    failures.append(error)
                assert time.monotonic() - began_s < 30
                await asyncio.sleep(0.1)
            await client.wait_until_serving(timeout_s=10)
        assert failures
        assert all(isinstance(each, UnavailableError) and each.retry_after_s for each in failures)
        assert await asyncio.to_thread(gateway.stop) == 0
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)
