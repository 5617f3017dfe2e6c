"""Watches a Triton that somebody else runs, in a container beside the gateway: proves it, and says how it stands.

What cannot be mended from here is waited for: models are loaded and proved again once the server
is back, and nothing serves before its known answers are right. Every release needs its first
tier; a stronger one that does not answer is served without.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Self

from server.domain.errors import LoupeError, ReleaseRefusedError
from server.triton import canary
from server.triton.backend_state import BackendState, StateFeed
from server.triton.backoff import Backoff
from server.triton.client import TritonClient
from server.triton.errors import ModelLoadError, TritonSetupError
from server.triton.known_answer import ServedTier, check_tier
from server.triton.supervisor import SupervisorOptions
from server.triton.troubles import AnswersWrong, Silent

_LOG = logging.getLogger(__name__)
_LOAD_TIMEOUT_S = 120.0
_UNLOAD_TIMEOUT_S = 10.0
_FIRST_ANSWER_S = 60.0
_POLL_S = 0.5


class RemoteTriton(StateFeed):
    """An async context manager around the address of a Triton that is pointed at the same model repository."""

    def __init__(self, client: TritonClient, options: SupervisorOptions | None = None) -> None:
        """Watches nothing yet.

        Args:
            client: Speaks to the server, which must run in explicit model control mode; whoever made it closes it.
            options: How closely to watch.
        """
        self._client = client
        self._options = options or SupervisorOptions()
        super().__init__()
        self._tiers: dict[str, ServedTier] = {}
        self._first: set[str] = set()
        self._busy = asyncio.Lock()
        self._pauses = Backoff(free_attempts=2, first_delay_s=0.5, longest_delay_s=5.0)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Waits until the server answers, and begins to watch.

        Raises:
            TritonSetupError: It does not answer for a minute.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_ANSWER_S):
                while not await self._client.is_ready():  # noqa: ASYNC110 -- Triton sends no event
                    await asyncio.sleep(_POLL_S)
                self._task = asyncio.create_task(self._watch())
                return self
        raise TritonSetupError(
            f"Triton does not answer after {_FIRST_ANSWER_S:.0f} s.", cure="Start it, or mend LOUPE_TRITON_ADDRESS."
        )

    async def __aexit__(self, *_: object) -> None:
        """Ceases to watch; the models stay loaded, because other gateways may use them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.publish(BackendState.STOPPED)

    async def deploy(self, *tiers: ServedTier) -> None:
        """Loads the tiers of a release beside those that serve, and proves them; all serve after, or none does.

        Args:
            tiers: Cheapest first.

        Raises:
            ReleaseRefusedError: A model cannot be loaded, or a known answer is wrong.
            BackendUnavailableError: Triton is gone.
        """
        async with self._busy:
            try:
                findings = await self._load_and_check(tiers)
            except ModelLoadError as error:
                raise ReleaseRefusedError(error.model, error.cause) from error
            if findings:
                raise ReleaseRefusedError(", ".join(tier.spec.model for tier in tiers), *findings)
            self._tiers |= {tier.spec.model: tier for tier in tiers}
            self._first |= {tier.spec.model for tier in tiers[:1]}
            for tier in tiers:
                self.judge(tier.spec.model, is_right=True)
            if self.state is BackendState.STARTING:
                self.publish(BackendState.SERVING)

    async def withdraw(self, *models: str) -> None:
        """Unloads tiers by their ensembles' names; requests in flight finish."""
        async with self._busy:
            for tier in [self._tiers.pop(model) for model in models if model in self._tiers]:
                self._first.discard(tier.spec.model)
                for each in (tier.spec.model, *tier.spec.steps):
                    await self._client.unload(each, timeout_s=_UNLOAD_TIMEOUT_S)

    async def _load_and_check(self, tiers: tuple[ServedTier, ...]) -> list[str]:
        for tier in tiers:
            await self._client.load(tier.spec.model, timeout_s=_LOAD_TIMEOUT_S)
        options = self._options
        return [
            finding
            for tier in tiers
            for finding in await check_tier(
                self._client, tier, timeout_s=options.answer_timeout_s, concurrency=options.instance_count
            )
        ]

    async def _watch(self) -> None:
        loop, options = asyncio.get_running_loop(), self._options
        took_s = 0.0
        while True:
            await asyncio.sleep(canary.pause_s(shortest_s=options.canary_interval_s, took_s=took_s))
            began_s = loop.time()
            async with self._busy:
                if not await self._is_well():
                    await self._wait_until_well()
            took_s = loop.time() - began_s

    async def _is_well(self) -> bool:
        for model, tier in self._tiers.items():
            trouble = await canary.examine(
                self._client,
                tier,
                timeout_s=self._options.answer_timeout_s,
                concurrency=self._options.instance_count,
            )
            if isinstance(trouble, Silent) and model not in self._first:
                _LOG.error("serving without it: %s", trouble)
                await self._load_anew(model)
            elif trouble is not None:
                _LOG.error("not serving: %s", trouble)
                if isinstance(trouble, AnswersWrong):
                    self.judge(model, is_right=False)
                return False
        return True

    async def _load_anew(self, model: str) -> None:
        """Loads a tier that somebody may have unloaded; where that fails, or does not help, the next canary tells."""
        with suppress(LoupeError, ModelLoadError):
            await self._client.load(model, timeout_s=_LOAD_TIMEOUT_S)

    async def _wait_until_well(self) -> None:
        """Loads and proves everything again, however often it takes; the state says so meanwhile."""
        self.publish(BackendState.RECOVERING)
        while True:
            await asyncio.sleep(self._pauses.delay_s(asyncio.get_running_loop().time()))
            findings = [finding for model in self._tiers for finding in await self._restore(model)]
            if not findings:
                break
            _LOG.error("still not serving: %s", "; ".join(findings))
        _LOG.warning("serving again")
        self.publish(BackendState.SERVING)

    async def _restore(self, model: str) -> list[str]:
        """Loads and proves a tier again; returns what keeps its release from serving."""
        try:
            findings = await self._load_and_check((self._tiers[model],))
        except (LoupeError, ModelLoadError) as error:
            if model in self._first:
                return [str(error)]
            _LOG.error("serving without %s: %s", model, error)
            return []
        self.judge(model, is_right=not findings)
        return findings
