"""The pipeline of dvc.yaml: its stages hang together, and what they type is what the command lines take."""

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dvc.repo import Repo

from build_engines.__main__ import app as build_app
from training.__main__ import app as train_app

COMMANDS = {"loupe-train": train_app, "loupe-build": build_app}
STAGES = ("render", "audit", "train", "evaluate", "build")


@pytest.fixture(scope="module")
def pipeline(repository_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline and what it reads, in a folder without version control."""
    folder = tmp_path_factory.mktemp("pipeline")
    shutil.copy(repository_root / "dvc.yaml", folder)
    (folder / ".dvc").mkdir()
    shutil.copy(repository_root / ".dvc" / "config", folder / ".dvc")
    for part in ("tasks", "renderers"):
        shutil.copytree(repository_root / "training" / part, folder / "training" / part)
    return folder


@pytest.fixture(scope="module")
def stages(pipeline: Path) -> list[Any]:
    """All stages, with names and commands filled in."""
    return list(Repo(str(pipeline)).index.stages)


def lines_of(stage: Any) -> list[str]:
    """The command lines of a stage."""
    return [stage.cmd] if isinstance(stage.cmd, str) else list(stage.cmd)


@pytest.mark.parametrize("kind", STAGES)
def test_every_command_is_one_that_exists(stages: list[Any], kind: str) -> None:
    """Program, command, arguments and options are accepted as they stand."""
    lines = [line for stage in stages if stage.name.startswith(f"{kind}@") for line in lines_of(stage)]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        group: Any = typer.main.get_command(COMMANDS[program])
        context = group.make_context(program, list(arguments))
        with context:
            name, command, rest = group.resolve_command(context, arguments)
            assert command is not None, line
            command.make_context(name, list(rest), parent=context)


def test_a_release_waits_for_every_tier_and_every_tier_for_its_audit(pipeline: Path) -> None:
    """Data, audit, train, evaluate, build: each stage after those whose files it reads."""
    graph = Repo(str(pipeline)).index.graph
    after = {stage.name: {each.name for each in graph.successors(stage)} for stage in graph}
    assert after["audit@cannabis"] == {"render@cannabis"}
    assert after["train@crop_health-fast"] == {"render@crop_health", "audit@crop_health"}
    assert after["train@cannabis-fast"] == {"audit@cannabis", "train@crop_health-full"}
    assert "train@cannabis-fast" in after["train@cannabis-medium"]
    assert "train@cannabis-medium" in after["train@cannabis-full"]
    assert "train@surface_defect-full" in after["train@surface_defect-fast"]
    assert "train@cannabis-fast" in after["evaluate@cannabis-fast"]
    tiers = {f"train@cannabis-{each}" for each in ("fast", "medium", "full")}
    assert tiers < after["build@cannabis"]


def test_every_task_and_tier_is_in_the_pipeline(repository_root: Path) -> None:
    """What can be rendered is trained, evaluated and built, but for what only others begin with.

    A tier comes after the one that teaches it, or whose weights it begins with.
    """
    variables = yaml.safe_load((repository_root / "dvc.yaml").read_text("utf-8"))["vars"][0]
    told = {(each["task"], each["tier"]): each["after"] for each in variables["tiers"].values()}
    paths = (repository_root / "training" / "tasks").glob("*.toml")
    every = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in paths}
    starts = {file["training"].get("start_from", "").partition("/")[0] for file in every.values()}
    files = {task: file for task, file in every.items() if "rendering" in file["data"] and task not in starts}
    assert set(variables["tasks"]) == set(files)
    assert set(told) == {(task, tier) for task, file in files.items() for tier in file["tiers"]}
    for (task, tier), after in told.items():
        recipe = files[task]["tiers"][tier].get("training", {})
        start = recipe.get("start_from", "")
        taught_by = f"{task}/{recipe['teacher']}" if "teacher" in recipe else start
        other, _, needed = taught_by.partition("/")
        assert after == (f"reports/{other}/runs/{needed}.json" if needed else f"data/{task}/index.jsonl")


def test_a_dry_run_works_offline_and_without_a_remote(pipeline: Path) -> None:
    """`dvc repro --dry` names the first stage of a fresh checkout."""
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--dry", "render@cannabis"],
        cwd=pipeline,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "loupe-train render cannabis" in done.stdout
