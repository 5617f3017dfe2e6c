"""What can happen to a Triton that serves, and who notices: the ends of its processes are watched here."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from server.triton.embedded import EmbeddedTriton, Stub


@dataclass(frozen=True, slots=True)
class ServerLost:
    """Triton itself has ended, with this exit code (negative: by that signal)."""

    exit_code: int

    def __str__(self) -> str:
        """Says what happened."""
        return f"Triton ended with exit code {self.exit_code}"


@dataclass(frozen=True, slots=True)
class StubLost:
    """A stub has ended, and Triton will not replace it."""

    stub: Stub

    def __str__(self) -> str:
        """Says what happened."""
        return f"stub {self.stub.process.pid} of {self.stub.model} ended"


@dataclass(frozen=True, slots=True)
class AnswersWrong:
    """An ensemble answers, and not what it should."""

    model: str
    findings: tuple[str, ...]

    def __str__(self) -> str:
        """Says what happened."""
        return "; ".join(self.findings)


@dataclass(frozen=True, slots=True)
class Silent:
    """An ensemble does not answer its known photo."""

    model: str
    detail: str

    def __str__(self) -> str:
        """Says what happened."""
        return f"{self.model} does not answer: {self.detail}"


Trouble = ServerLost | StubLost | AnswersWrong | Silent


class ProcessWatch:
    """Reports the end of Triton and of each of its stubs, once."""

    def __init__(self, triton: EmbeddedTriton, report: Callable[[Trouble], None]) -> None:
        """Watches nothing yet.

        Args:
            triton: The server.
            report: Is told of every end.
        """
        self._triton = triton
        self._report = report
        self._server: asyncio.Task[None] | None = None
        self._stubs: dict[Stub, asyncio.Task[None]] = {}

    def extend(self) -> None:
        """Watches the server, and the stubs that live now, beside those that are watched already."""
        if self._server is None:
            self._server = asyncio.create_task(self._watch_server())
        for stub in self._triton.stubs():
            if stub not in self._stubs:
                self._stubs[stub] = asyncio.create_task(self._watch_stub(stub))

    def forget(self, models: Iterable[str]) -> None:
        """Stops watching the stubs of these models, because they are about to be replaced or unloaded."""
        unwanted = set(models)
        for stub in [each for each in self._stubs if each.model in unwanted]:
            self._stubs.pop(stub).cancel()

    def clear(self) -> None:
        """Stops watching."""
        if self._server is not None:
            self._server.cancel()
            self._server = None
        for task in self._stubs.values():
            task.cancel()
        self._stubs.clear()

    def watches(self, stub: Stub) -> bool:
        """Whether this stub is watched, living or dead: neither forgotten nor cleared."""
        return stub in self._stubs

    def models_with_dead_stubs(self) -> frozenset[str]:
        """The models of watched stubs that have ended, reported or not."""
        return frozenset(stub.model for stub in self._stubs if not stub.process.is_alive())

    @property
    def server_is_lost(self) -> bool:
        """Whether the watched server has ended."""
        return self._server is not None and self._server.done()

    async def _watch_server(self) -> None:
        self._report(ServerLost(await self._triton.wait_exited()))

    async def _watch_stub(self, stub: Stub) -> None:
        await stub.process.wait_exited()
        self._report(StubLost(stub))
