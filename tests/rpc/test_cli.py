"""`loupe inspect`, `loupe tasks` and their failures, against a running gateway."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from fakes import Gate, prediction
from typer.testing import CliRunner, Result

from loupe.errors import Failure, LoupeError, OverloadedError, UnavailableError
from server.cli.commands import app
from server.cli.failures import CommandFailedError, call_failure
from server.domain.errors import BackendUnavailableError
from server.domain.errors import OverloadedError as ShedError
from server.domain.release import Release
from server.domain.task import Task

from .conftest import Gateway


@pytest.fixture
def photo_file(tmp_path: Path, photo: bytes) -> Path:
    """A photo on disk."""
    path = tmp_path / "loaf.jpg"
    path.write_bytes(photo)
    return path


async def run(gateway: Gateway, *arguments: object) -> Result:
    """Runs a command beside the gateway."""
    command = [*map(str, arguments), "--address", gateway.address]
    return await asyncio.to_thread(CliRunner().invoke, app, command, env={"COLUMNS": "120"})


async def failed(gateway: Gateway, *arguments: object) -> tuple[str, str]:
    """Runs a command that must fail, and returns cause and cure."""
    result = await run(gateway, *arguments)
    assert isinstance(result.exception, CommandFailedError), result.output
    return result.exception.cause, result.exception.cure


async def test_an_answer_is_a_table(gateway: Gateway, photo_file: Path) -> None:
    """Every head, its confidence, the alternatives, the recommendation and the way."""
    result = await run(gateway, "inspect", photo_file)
    assert result.exit_code == 0, result.output
    for word in ("loaf.jpg", "kind", "rye", "97.0%", "wheat 2%", "grade", "crust", "not seen: mould"):
        assert word in result.output
    assert "Recommendation: accept" in result.output
    assert "Tier: fast (confident)" in result.output


async def test_health_is_an_exit_code(gateway: Gateway) -> None:
    """For probes that run a command."""
    assert (await run(gateway, "health")).exit_code == 1
    await gateway.server.set_serving(serving=True)
    result = await run(gateway, "health")
    assert (result.exit_code, result.output) == (0, "SERVING\n")


async def test_an_answer_may_be_json(gateway: Gateway, photo_file: Path) -> None:
    """The whole message, for programs."""
    result = await run(gateway, "inspect", photo_file, "--json", "--heads", "kind, grade", "--alternatives", 1)
    answer = json.loads(result.stdout)
    assert [each["head"] for each in answer["answers"]] == ["kind", "grade"]
    assert len(answer["answers"][0]["category"]["alternatives"]) == 1


async def test_a_strange_photo_is_called_so(gateway: Gateway, photo_file: Path) -> None:
    """Out of distribution is said in words."""
    gateway.engines.default = prediction(feature_distance=99.0)
    assert "unlike those that the model was trained for" in (await run(gateway, "inspect", photo_file)).output


async def test_tasks_are_a_table(gateway: Gateway) -> None:
    """Heads, labels, tiers; decision heads are marked."""
    result = await run(gateway, "tasks")
    assert result.exit_code == 0, result.output
    for word in ("bread", "kind *", "rye, wheat, spelt", "fast (fp32, 32 px)"):
        assert word in result.output


async def test_several_tasks_must_be_told_apart(gateway: Gateway, photo_file: Path) -> None:
    """The error names them."""
    release = gateway.catalog.active("bread")
    task = Task("cake", "Cake", release.task.heads, release.task.decision_heads)
    gateway.catalog.activate(Release(task, 1, release.tiers))
    cause, cure = await failed(gateway, "inspect", photo_file)
    assert "bread, cake" in cause
    assert "--task" in cure
    assert "Cake" not in (await run(gateway, "inspect", photo_file, "--task", "cake")).output


async def test_what_is_wrong_with_a_photo_is_said(gateway: Gateway, tmp_path: Path) -> None:
    """A cause and a cure."""
    text = tmp_path / "notes.txt"
    text.write_text("no photo")
    assert await failed(gateway, "inspect", text) == (
        "The photo is not a JPEG, PNG, WebP or HEIF file.",
        "Convert it to one of these.",
    )
    cause, _ = await failed(gateway, "inspect", tmp_path / "absent.jpg")
    assert "cannot be read" in cause


async def test_what_does_not_exist_is_said(gateway: Gateway, photo_file: Path) -> None:
    """With what there is."""
    cause, cure = await failed(gateway, "inspect", photo_file, "--heads", "size")
    assert "kind, grade, signs" in cause
    assert cure == "See what is served: loupe tasks"


async def test_a_broken_rule_is_said(gateway: Gateway, photo_file: Path) -> None:
    """By its field."""
    cause, _ = await failed(gateway, "inspect", photo_file, "--alternatives", 101)
    assert "alternative_count" in cause


async def test_too_little_time_is_said(gateway: Gateway, photo_file: Path) -> None:
    """With the option that allows more."""
    gateway.engines.default = Gate()
    _, cure = await failed(gateway, "inspect", photo_file, "--task", "bread", "--timeout", 0.2)
    assert "--timeout" in cure


async def test_a_busy_gateway_says_when_to_come_back(gateway: Gateway, photo_file: Path) -> None:
    """In seconds."""
    gateway.engines.default = ShedError("tier fast", retry_after_s=2.5)
    assert (await failed(gateway, "inspect", photo_file))[1] == "Try again in 2.5 s."


async def test_a_restarting_backend_says_when_to_come_back(gateway: Gateway, photo_file: Path) -> None:
    """After some attempts of the client's own."""
    gateway.engines.default = BackendUnavailableError("gone", retry_after_s=0.01)
    assert (await failed(gateway, "inspect", photo_file))[1] == "Try again in 0.01 s."


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (UnavailableError(Failure(grpc.StatusCode.UNAVAILABLE, "x")), "loupe serve"),
        (OverloadedError(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "x")), "10 MiB"),
        (LoupeError(Failure(grpc.StatusCode.INTERNAL, "x", request_id="abc")), "request abc"),
        (LoupeError(Failure(grpc.StatusCode.UNKNOWN, "x")), "Try again"),
    ],
)
def test_every_failure_has_a_cure(error: LoupeError, cure: str) -> None:
    """Also those that a gateway of ours does not send."""
    assert cure in call_failure(error, address="somewhere:1").cure


def test_a_failure_is_two_lines() -> None:
    """Cause and cure on standard error, exit code 1, no traceback."""
    result = subprocess.run(
        [sys.executable, "-m", "server", "tasks", "--address", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "No gateway answers at 127.0.0.1:1.",
        "Start one (loupe serve), or name another: --address HOST:PORT",
    ]


def test_the_version_is_printed() -> None:
    """As installed."""
    assert CliRunner().invoke(app, ["version"]).output.startswith("loupe 0.")
