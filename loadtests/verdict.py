"""A limit, and what was measured beside it."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.table import Table


class Part(BaseModel):
    """Base of all parts of a report: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(Part):
    """One limit, inclusive."""

    name: str
    measured: float
    limit: float
    is_least: bool
    """Whether the limit is the least that is allowed, not the most."""
    unit: Literal["share", "ms", "x"]
    """A share of 1, milliseconds, or a ratio."""

    @property
    def holds(self) -> bool:
        """Whether the limit holds."""
        return self.measured >= self.limit if self.is_least else self.measured <= self.limit

    def row(self) -> tuple[str, str, str, str]:
        """Returns the name, what was measured, the limit and whether it holds, for people."""
        sign = "≥" if self.is_least else "≤"
        outcome = "[green]holds[/]" if self.holds else "[red]missed[/]"
        return self.name, self._text(self.measured), f"{sign} {self._text(self.limit)}", outcome

    def _text(self, value: float) -> str:
        match self.unit:
            case "share":
                return f"{value:.2%}"
            case "ms":
                return f"{value:.4g} ms"
            case "x":
                return f"{value:.2f} x"


def at_most(name: str, measured: float, limit: float, *, unit: Literal["share", "ms", "x"]) -> Verdict:
    """Returns a limit from above."""
    return Verdict(name=name, measured=measured, limit=limit, is_least=False, unit=unit)


def at_least(name: str, measured: float, limit: float, *, unit: Literal["share", "ms", "x"]) -> Verdict:
    """Returns a limit from below."""
    return Verdict(name=name, measured=measured, limit=limit, is_least=True, unit=unit)


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Returns every limit beside what was measured."""
    table = Table(title="Limits", title_justify="left")
    table.add_column("")
    for heading in ("measured", "limit", ""):
        table.add_column(heading, justify="right")
    for each in verdicts:
        table.add_row(*each.row())
    return table


def conclusion(verdicts: Sequence[Verdict]) -> str:
    """Returns what to say last."""
    missed = [each.name for each in verdicts if not each.holds]
    return f"[red]Missed:[/] {'; '.join(missed)}." if missed else "[green]Every limit holds.[/]"
