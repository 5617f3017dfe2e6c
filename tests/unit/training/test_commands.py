"""The command line of training: errors name cause and cure, and arguments are checked before anything runs."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.__main__ import app


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
