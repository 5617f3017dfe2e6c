"""The command line of building: errors name cause and cure, and steps tell the next one."""

from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from build_engines.__main__ import app
from build_engines.plan import ReleasePlan, TierPlan


def run(*arguments: str) -> tuple[int, str]:
    """Runs `loupe-build`; exit code and output."""
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_building_before_training_says_so(tmp_path: Path) -> None:
    """Without a checkpoint nothing starts."""
    code, output = run("release", "cannabis", "--runs", str(tmp_path))
    assert code == 2
    assert "it holds no finished run" in output


def test_a_step_that_is_skipped_is_named_with_its_command(plan: TierPlan, tmp_path: Path) -> None:
    """Compiling before exporting tells what to type."""
    code, output = run("compile", "cannabis", "--checkpoint", str(plan.checkpoint.folder), "--runs", str(tmp_path))
    assert code == 2
    assert f"loupe-build export cannabis --checkpoint {plan.checkpoint.folder} --number 1" in output


def test_a_step_tells_the_next_one(plan: TierPlan, tmp_path: Path) -> None:
    """Export ends with the command that compiles, with all that was typed for export."""
    named = ("--checkpoint", str(plan.checkpoint.folder))
    code, output = run("export", "cannabis", *named, "--runs", str(tmp_path), "--no-skip", "--few-labels")
    assert code == 0
    chosen = f"--checkpoint {plan.checkpoint.folder} --number 1 --runs {tmp_path} --no-skip --few-labels"
    assert f"Next: loupe-build compile cannabis {chosen}\n" in output


def test_options_that_are_the_usual_ones_are_not_repeated(plan: TierPlan) -> None:
    """What a release says of its making holds on another machine."""
    assert plan.command("export") == "loupe-build export cannabis --tier fast --number 1"
    assert ReleasePlan((plan,)).command("release") == "loupe-build release cannabis --tier fast --number 1"


def test_a_taken_number_is_refused_before_any_work(plan: TierPlan, tmp_path: Path) -> None:
    """`release` looks at the model repository first."""
    taken = replace(plan, model_repository=tmp_path / "repository")
    ReleasePlan((taken,)).release_folder.mkdir(parents=True)
    code, output = run(
        "release",
        "cannabis",
        "--checkpoint",
        str(plan.checkpoint.folder),
        "--runs",
        str(tmp_path),
        "--repository",
        str(taken.model_repository),
    )
    assert code == 2
    assert "Release cannabis/1 exists" in output
    assert not (tmp_path / "builds").exists()


def test_an_unknown_target_is_a_usage_error(plan: TierPlan, tmp_path: Path) -> None:
    """Only targets with a compiler exist."""
    arguments = ("--checkpoint", str(plan.checkpoint.folder), "--runs", str(tmp_path), "--target", "gpu")
    code, output = run("compile", "cannabis", *arguments)
    assert code == 2
    assert "'gpu' is none of cpu" in output
