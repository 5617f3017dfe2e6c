"""Tables and figures in Markdown."""

from collections.abc import Iterable

from build_engines.cascade_solver import Estimate


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a table; every row has a cell a column."""
    head = list(columns)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: Estimate) -> str:
    """Returns a share with its interval, in percent."""
    return f"{share.mean:.2%} ({share.low:.2%} to {share.high:.2%})"


def signed(share: Estimate) -> str:
    """Returns a difference with its interval, in percent, with signs."""
    return f"{share.mean:+.2%} ({share.low:+.2%} to {share.high:+.2%})"
