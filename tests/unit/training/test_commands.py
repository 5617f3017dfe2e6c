"""The command line of training: errors name cause and cure, and arguments are checked before anything runs."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer import BadParameter, Exit
from typer.testing import CliRunner

from training.__main__ import app
from training.console import explained, tell_next
from training.epochs_option import stages_of
from training.place_sampling import NoTargetPlacesError
from training.recipe import StageSection


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["train", "bread"], "Known tasks: cannabis,"),
        (["train", "cannabis", "--tier", "fasst"], "Its tiers: fast, medium, full."),
        (["train", "cannabis", "--data", "nowhere"], "Run: loupe-train render cannabis"),
        (["evaluate", "cannabis", "--runs", "nowhere"], "Run: loupe-train train cannabis --tier fast"),
    ],
)
def test_errors_say_what_to_do(
    arguments: list[str], cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typed error is two lines and exit code 2, never a traceback."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert cure in result.output
    assert "Traceback" not in result.output


def test_unknown_variants_and_splits_are_usage_errors() -> None:
    """Words outside of the few that exist are refused by name."""
    for arguments in (["train", "cannabis", "--variant", "tiny"], ["evaluate", "cannabis", "--split", "test"]):
        assert CliRunner().invoke(app, arguments).exit_code == 2


def test_epochs_are_a_count_or_stages() -> None:
    """A count is of the served size; stages are of shares of its side, and the last is of it."""
    assert stages_of(None) is None
    assert stages_of("12") == (StageSection(epochs=12),)
    assert stages_of("5@0.4,2@0.6,1") == (
        StageSection(epochs=5, input_share=0.4),
        StageSection(epochs=2, input_share=0.6),
        StageSection(epochs=1),
    )
    for wrong, cure in {"": "5@0.4", "many": "5@0.4", "0": "5@0.4", "3@2,1": "5@0.4", "6@0.4": "add at least"}.items():
        with pytest.raises(BadParameter, match=cure):
            stages_of(wrong)
    assert CliRunner().invoke(app, ["train", "cannabis", "--epochs", "6@0.4"]).exit_code == 2


def test_what_is_in_brackets_is_shown(tmp_path: Path) -> None:
    """A section of the task file is no markup."""
    console = Console(file=StringIO(), width=40)
    with pytest.raises(Exit), explained(console):
        raise NoTargetPlacesError
    assert "under [training.sampling] of the task file" in written(console)
    tell_next(console, "loupe-train", "train", "cannabis", data=tmp_path / "[red] photos", runs=None)
    assert f"Next: loupe-train train cannabis --data '{tmp_path}/[red] photos'\n" in written(console)


def written(console: Console) -> str:
    """What was shown."""
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
