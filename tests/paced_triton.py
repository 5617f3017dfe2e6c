"""A Triton that the tests run, whose engines take as long as they are told, and can be killed for real.

The gateway meets it as somebody else's. An engine waits, as it would for an accelerator, and
burns no processor: what one tier suffers is then not another one's want of cores.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from toy_cascade import ToyCascade

from server.triton.embedded import EmbeddedTriton
from server.triton.repository import Target, TierModelSpec, write_tier_models

_ENGINE = '''\
"""Runs the tier's own engine after a wait, whose seconds stand in a file."""

import time
from pathlib import Path

from server.triton.models.engine import TritonPythonModel as Engine

_PACE = Path({pace!r})


class TritonPythonModel(Engine):
    def initialize(self, args):
        if _PACE.read_text() == {dead!r}:
            raise RuntimeError("the tier is to stay dead")
        super().initialize(args)

    def execute(self, requests):
        time.sleep(float(_PACE.read_text()))
        return super().execute(requests)
'''


_DEAD = "dead"


class PacedTriton:
    """A running Triton, and the pace of each tier of a toy cascade."""

    def __init__(self, triton: EmbeddedTriton, specs: Mapping[str, TierModelSpec], folder: Path) -> None:
        """Paces nothing yet; see `paced_triton`."""
        self.triton = triton
        self._specs = specs
        self._folder = folder
        self._paces: dict[str, str] = {}

    def pace(self, tier: str, wait_s: float) -> None:
        """Makes every run of a tier's engine wait so long from now on."""
        self._paces[tier] = f"{wait_s}"
        self._tell(tier, self._paces[tier])

    def _tell(self, tier: str, text: str) -> None:
        file = self._folder / tier
        aside = file.with_suffix(".new")
        aside.write_text(text)
        aside.rename(file)

    def kill(self, tier: str) -> None:
        """Ends all processes that run a tier's engine; where Triton starts them again by itself, they fail."""
        self._tell(tier, _DEAD)
        model = self._specs[tier].engine_model
        for stub in self.triton.stubs():
            if stub.model == model:
                stub.process.end()

    async def revive(self, tier: str) -> None:
        """Starts them again."""
        self._tell(tier, self._paces[tier])
        await self.triton.reload(self._specs[tier].engine_model)


@asynccontextmanager
async def paced_triton(cascade: ToyCascade, folder: Path, **waits_s: float) -> AsyncIterator[PacedTriton]:
    """Runs a Triton that has the models of a cascade, none of them loaded.

    Args:
        cascade: What it is to serve.
        folder: An empty one, for the paces.
        waits_s: By tier, how long its engine waits beside its work; 0 where it is not named.
    """
    async with EmbeddedTriton() as triton:
        specs = {}
        for tier in cascade.release.tiers:
            spec = TierModelSpec.from_release(
                cascade.release.task, tier.engine, repository_root=cascade.model_repository
            )
            write_tier_models(spec, triton.repository, target=Target.EMBEDDED)
            engine = triton.repository / spec.engine_model / "1" / "model.py"
            engine.write_text(_ENGINE.format(pace=str(folder / tier.tier), dead=_DEAD))
            specs[tier.tier] = spec
        paced = PacedTriton(triton, specs, folder)
        for name in specs:
            paced.pace(name, waits_s.get(name, 0.0))
        yield paced
