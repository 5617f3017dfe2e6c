"""Keeps the embedded Triton serving: proves it before it serves, notices trouble, mends it, and says how it stands.

    STARTING ──proved──▶ SERVING ──trouble──▶ RECOVERING ──proved──▶ SERVING ... STOPPED

A dead stub, or wrong answers: the step is loaded anew beside the old one. A dead or silent
Triton, or a reload that does not help: Triton is restarted, ever more slowly, and never given up.
Nothing serves before its known answers are right: a tier that gave a wrong one is not believed until
it gives the right one again.

Every release needs its first tier. A stronger one that is dead or silent is loaded anew as often as
it takes, and never costs the others a restart: its callers get the weaker answer meanwhile.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Self

from server.domain.errors import BackendUnavailableError, LoupeError, ReleaseRefusedError
from server.triton import canary
from server.triton.backend_state import BackendState, StateFeed
from server.triton.backoff import Backoff
from server.triton.embedded import EmbeddedTriton
from server.triton.errors import ModelLoadError, TritonSetupError
from server.triton.known_answer import ServedTier, check_tier
from server.triton.repository import Target, remove_tier_models, write_tier_models
from server.triton.tier_models import engine_model, preprocess_model
from server.triton.troubles import AnswersWrong, ProcessWatch, ServerLost, Silent, StubLost, Trouble

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """How closely the backend is watched.

    Attributes:
        instance_count: Instances of each step, at least 1.
        canary_interval_s: The shortest pause between two canaries; longer, up to 15 s, where they would
            take over 5 % of the time.
        answer_timeout_s: How long a known answer may take, above 0.
    """

    instance_count: int = 2
    canary_interval_s: float = 5.0
    answer_timeout_s: float = 5.0


class TritonSupervisor(StateFeed):
    """An async context manager around a started `EmbeddedTriton`: watches it inside."""

    def __init__(self, triton: EmbeddedTriton, options: SupervisorOptions | None = None) -> None:
        """Watches nothing yet.

        Args:
            triton: The server, started; whoever started it stops it.
            options: How closely to watch.
        """
        self._triton = triton
        self._options = options or SupervisorOptions()
        super().__init__()
        self._tiers: dict[str, ServedTier] = {}
        self._first: set[str] = set()
        self._recoveries = 0
        self._troubles: asyncio.Queue[tuple[Trouble, int]] = asyncio.Queue()
        self._watch = ProcessWatch(triton, self._report)
        self._tasks: list[asyncio.Task[None]] = []
        self._busy = asyncio.Lock()
        self._reloads = Backoff(free_attempts=5, first_delay_s=0.25, longest_delay_s=2.0)
        self._restarts = Backoff(free_attempts=2, first_delay_s=1.0, longest_delay_s=30.0)

    async def __aenter__(self) -> Self:
        """Begins to watch."""
        self._watch.extend()
        self._tasks = [asyncio.create_task(self._mend()), asyncio.create_task(self._send_canaries())]
        for task in self._tasks:
            task.add_done_callback(self._on_task_done)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ceases to watch."""
        self._watch.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.publish(BackendState.STOPPED)

    async def deploy(self, *tiers: ServedTier) -> None:
        """Loads the tiers of a release beside those that serve, and proves them; all serve after, or none does.

        Args:
            tiers: Cheapest first.

        Raises:
            ReleaseRefusedError: A model cannot be loaded, a known answer is wrong, or it is served already.
            BackendUnavailableError: Triton is gone.
        """
        async with self._busy:
            for tier in tiers:
                if tier.spec.model in self._tiers:
                    raise ReleaseRefusedError(tier.spec.model, "it is being served already")
            for tier in tiers:
                write_tier_models(
                    tier.spec,
                    self._triton.repository,
                    target=Target.EMBEDDED,
                    instance_count=self._options.instance_count,
                )
            try:
                await self._load_and_prove(tiers)
            except BaseException:
                _LOG.warning("tiers were not deployed; Triton's log ends with:\n%s", self._triton.log_tail())
                await self._discard(tiers)
                raise
            self._tiers |= {tier.spec.model: tier for tier in tiers}
            self._first |= {tier.spec.model for tier in tiers[:1]}
            for tier in tiers:
                self.judge(tier.spec.model, is_right=True)
            self._watch.extend()
            if self.state is BackendState.STARTING:
                self.publish(BackendState.SERVING)

    async def withdraw(self, *models: str) -> None:
        """Unloads tiers by their ensembles' names; requests in flight finish."""
        async with self._busy:
            await self._discard([self._tiers.pop(model) for model in models if model in self._tiers])
            self._first -= set(models)

    async def _load_and_prove(self, tiers: tuple[ServedTier, ...]) -> None:
        loads = [self._triton.load(tier.spec.model) for tier in tiers]
        # All are awaited, even if one fails: what is still loading cannot be unloaded.
        failures = [each for each in await asyncio.gather(*loads, return_exceptions=True) if each is not None]
        for failure in failures:
            if isinstance(failure, ModelLoadError):
                raise ReleaseRefusedError(failure.model, failure.cause) from failure
            raise failure
        for tier in tiers:
            try:
                findings = await self._check(tier)
            except BackendUnavailableError:
                raise
            except LoupeError as error:
                raise ReleaseRefusedError(tier.spec.model, str(error)) from error
            if findings:
                raise ReleaseRefusedError(tier.spec.model, *findings)

    async def _discard(self, tiers: "list[ServedTier] | tuple[ServedTier, ...]") -> None:
        for tier in tiers:
            self._watch.forget(tier.spec.steps)
            try:
                await self._triton.unload(tier.spec.model)
            except LoupeError as error:
                # A Triton that is gone has unloaded everything already.
                _LOG.warning("%s was not unloaded: %s", tier.spec.model, error)
            remove_tier_models(tier.spec, self._triton.repository)

    async def _mend(self) -> None:
        while True:
            trouble, recoveries = await self._troubles.get()
            async with self._busy:
                if not self._is_stale(trouble, recoveries):
                    await self._recover(trouble)

    def _report(self, trouble: Trouble) -> None:
        self._troubles.put_nowait((trouble, self._recoveries))

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        """Says so when supervision itself has failed: whoever serves unwatched must not seem healthy."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.critical("the supervision of Triton failed", exc_info=error)
            self.publish(BackendState.STOPPED)

    def _is_stale(self, trouble: Trouble, recoveries: int) -> bool:
        """Whether a trouble has been mended already, together with another."""
        match trouble:
            case StubLost(stub):
                return not self._watch.watches(stub)
            case ServerLost():
                return not self._watch.server_is_lost
            case AnswersWrong(model) | Silent(model):
                return model not in self._tiers or recoveries != self._recoveries

    async def _recover(self, trouble: Trouble) -> None:
        """Mends a trouble, however long it takes; the state says so meanwhile."""
        _LOG.error("recovering: %s", trouble)
        if isinstance(trouble, AnswersWrong):
            self.judge(trouble.model, is_right=False)
        self._recoveries += 1
        # Stubs tend to die together; one reload mends all.
        steps = _steps_at_fault(trouble) | self._watch.models_with_dead_stubs()
        if self._others_suffice(trouble, steps):
            await self._reload(steps)
            return
        self.publish(BackendState.RECOVERING)
        needs_restart = isinstance(trouble, ServerLost | Silent) or self._watch.server_is_lost
        recovered = not needs_restart and await self._reload(steps)
        while not recovered:
            recovered = await self._restart()
        self.publish(BackendState.SERVING if self._tiers else BackendState.STARTING)
        _LOG.warning("recovered from: %s", trouble)

    def _others_suffice(self, trouble: Trouble, steps: frozenset[str]) -> bool:
        """Whether a trouble is one of stronger tiers alone, which do not answer, rather than answer wrongly."""
        if self._watch.server_is_lost or not isinstance(trouble, StubLost | Silent):
            return False
        needed = {step for model in self._first for step in self._tiers[model].spec.steps}
        return steps.isdisjoint(needed)

    async def _reload(self, steps: frozenset[str]) -> bool:
        """Replaces the stubs of some steps; True if their tiers are right then."""
        await asyncio.sleep(self._reloads.delay_s(asyncio.get_running_loop().time()))
        try:
            self._watch.forget(steps)
            await asyncio.gather(*(self._triton.reload(step) for step in steps))
            tiers = [tier for tier in self._tiers.values() if not steps.isdisjoint(tier.spec.steps)]
            return await self._prove(tiers)
        except (LoupeError, TritonSetupError, OSError) as error:
            _LOG.error("reloading %s did not help: %s", ", ".join(steps), error)
            return False

    async def _restart(self) -> bool:
        """Starts Triton anew with all tiers; True if they are right then."""
        await asyncio.sleep(self._restarts.delay_s(asyncio.get_running_loop().time()))
        self._watch.clear()
        try:
            await self._triton.restart()
            await asyncio.gather(*(self._triton.load(model) for model in self._tiers))
            return await self._prove(list(self._tiers.values()))
        except (LoupeError, TritonSetupError, OSError) as error:
            _LOG.error("restarting Triton did not help: %s", error)
            return False

    async def _prove(self, tiers: list[ServedTier]) -> bool:
        self._watch.extend()
        findings: list[str] = []
        for tier in tiers:
            try:
                found = await self._check(tier)
                self.judge(tier.spec.model, is_right=not found)
                findings += found
            except LoupeError as error:
                if tier.spec.model in self._first:
                    raise
                _LOG.error("serving without %s: %s", tier.spec.model, error)
        for finding in findings:
            _LOG.error("known answer: %s", finding)
        return not findings

    async def _check(self, tier: ServedTier) -> tuple[str, ...]:
        return await check_tier(
            self._triton.client,
            tier,
            timeout_s=self._options.answer_timeout_s,
            concurrency=self._options.instance_count,
        )

    async def _send_canaries(self) -> None:
        loop, options = asyncio.get_running_loop(), self._options
        took_s = 0.0
        while True:
            await asyncio.sleep(canary.pause_s(shortest_s=options.canary_interval_s, took_s=took_s))
            began_s = loop.time()
            for tier in tuple(self._tiers.values()):
                if self.state is BackendState.SERVING:
                    await self._send_canary(tier)
            took_s = loop.time() - began_s

    async def _send_canary(self, tier: ServedTier) -> None:
        recoveries = self._recoveries
        trouble = await canary.examine(
            self._triton.client,
            tier,
            timeout_s=self._options.answer_timeout_s,
            concurrency=self._options.instance_count,
        )
        # What fails while something else is being mended says nothing about what will be.
        if trouble is not None and recoveries == self._recoveries:
            self._report(trouble)


def _steps_at_fault(trouble: Trouble) -> frozenset[str]:
    """Returns the steps whose stubs should be replaced."""
    match trouble:
        case StubLost(stub):
            return frozenset({stub.model})
        case AnswersWrong(model) | Silent(model):
            return frozenset({preprocess_model(model), engine_model(model)})
        case ServerLost():
            return frozenset()
