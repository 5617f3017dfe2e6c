"""What a bench showed: figures for programs, limits, and tables for people."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtests.cascade_bench import CascadeFigures
from loadtests.cpu import CLIENT, GATEWAY, STUBS, TRITON
from loadtests.pairs import Estimate
from loadtests.tier_bench import TierFigures
from loadtests.verdict import Part, Verdict, at_least, at_most, conclusion, verdict_table

LEAST_THROUGHPUT_AT_16 = 0.90
"""Of bare Triton's, for each tier."""

MOST_ADDED_MEDIAN_MS_AT_1 = 1.5
"""Over bare Triton's, for the cheapest tier: a dearer one hides it."""

LEAST_CASCADE_SPEED_UP = 2.0
"""Over the strongest tier alone."""

FEWEST_PHOTOS = 100
"""With fewer different photos the exits are a matter of chance, and the cascade is measured but not judged."""


class BenchReport(Part):
    """Everything that was measured."""

    release: str
    photos: str
    machine_cores: int
    tiers: tuple[TierFigures, ...]
    """Cheapest first."""
    cascade: CascadeFigures | None
    """None if the release has one tier."""
    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether every limit holds."""
        return all(each.holds for each in self.verdicts)


def verdicts_of(tiers: Sequence[TierFigures], cascade: CascadeFigures | None) -> tuple[Verdict, ...]:
    """Returns each limit with what was measured; a number in flight that was not measured is not judged.

    Args:
        tiers: Cheapest first.
        cascade: None if the release has one tier.
    """
    verdicts = []
    for figures in tiers:
        ratios = {row.in_flight: row.throughput_ratio.median for row in figures.rows}
        if 16 in ratios:  # noqa: PLR2004 -- the number in flight that is judged
            name = f"{figures.tier}: throughput at 16 in flight, of bare Triton's"
            verdicts.append(at_least(name, ratios[16], LEAST_THROUGHPUT_AT_16, unit="x"))
    for row in tiers[0].rows:
        if row.in_flight == 1:
            name = f"{tiers[0].tier}: added to bare Triton's median at 1 in flight"
            verdicts.append(at_most(name, row.added_median_ms.median, MOST_ADDED_MEDIAN_MS_AT_1, unit="ms"))
    if cascade is not None and cascade.distinct_photos >= FEWEST_PHOTOS:
        name = f"cascade: throughput, of {cascade.strongest} alone"
        verdicts.append(at_least(name, cascade.throughput_ratio.median, LEAST_CASCADE_SPEED_UP, unit="x"))
    return tuple(verdicts)


def show(console: Console, report: BenchReport, *, path: Path) -> None:
    """Prints the whole report; the limits come last, where the eye ends.

    Args:
        console: Where to.
        report: What the bench showed.
        path: Where all figures lie.
    """
    console.print(f"[bold]{report.release}[/] on {report.machine_cores} cores, which the client shares.")
    console.print(f"Photos: {report.photos}")
    tables = [_throughput(report), _cpu(report)]
    if report.cascade is not None:
        tables.append(_cascade(report.cascade))
    for table in (*tables, verdict_table(report.verdicts)):
        console.print()
        console.print(table)
    if report.cascade is not None and report.cascade.distinct_photos < FEWEST_PHOTOS:
        console.print(
            f"[yellow]The cascade is not judged on fewer than {FEWEST_PHOTOS} photos.[/] "
            "Render some (see CONTRIBUTING), or pass a folder to --photos."
        )
    console.print(conclusion(report.verdicts), f"All figures: {path}")


def _throughput(report: BenchReport) -> Table:
    table = Table(
        title="The gateway, held to one tier, against the bare Triton ensemble: medians over interleaved pairs "
        "[95 % interval]",
        title_justify="left",
    )
    table.add_column("tier")
    for heading in ("in flight", "gateway /s", "Triton /s", "of Triton", "added to median, ms", "added to p99, ms"):
        table.add_column(heading, justify="right")
    for figures in report.tiers:
        for row in figures.rows:
            table.add_row(
                figures.tier,
                str(row.in_flight),
                _rate(row.gateway.per_second),
                _rate(row.triton.per_second),
                str(row.throughput_ratio),
                _milliseconds(row.added_median_ms),
                _milliseconds(row.added_p99_ms),
            )
        table.add_section()
    return table


def _cpu(report: BenchReport) -> Table:
    table = Table(
        title=f"What an answer costs through the gateway; the ceiling is decoding and model in one process, "
        f"{report.machine_cores} threads",
        title_justify="left",
    )
    table.add_column("tier")
    table.add_column("in flight", justify="right")
    roles = (GATEWAY, TRITON, STUBS, CLIENT)
    for heading in ("median, ms", *(f"{role}, CPU ms" for role in roles), "of the ceiling"):
        table.add_column(heading, justify="right")
    for figures in report.tiers:
        for row in figures.rows:
            side = row.gateway
            costs = (f"{side.cpu_ms[role]:.2f}" for role in roles)
            share = f"{side.per_second / figures.ceiling_per_second:.0%} of {_rate(figures.ceiling_per_second)} /s"
            table.add_row(figures.tier, str(row.in_flight), f"{side.median_ms:.1f}", *costs, share)
        table.add_section()
    return table


def _cascade(figures: CascadeFigures) -> Table:
    table = Table(
        title=f"The cascade against {figures.strongest} alone, {figures.in_flight} in flight, the same "
        f"{figures.photos_each_half} photos in both halves of a pair",
        title_justify="left",
    )
    table.add_column("")
    for heading in ("answers /s", "CPU ms", f"of {figures.strongest}", "degraded", "exits"):
        table.add_column(heading, justify="right")
    exits = ", ".join(f"{tier} {share:.0%}" for tier, share in figures.exits.items())
    table.add_row(
        "cascade",
        f"{figures.cascade_per_second:.1f}",
        f"{figures.cascade_cpu_ms:.1f}",
        str(figures.throughput_ratio),
        f"{figures.degraded_share:.1%}, not counted",
        exits,
    )
    table.add_row(
        f"{figures.strongest} alone", f"{figures.strongest_per_second:.1f}", f"{figures.strongest_cpu_ms:.1f}"
    )
    return table


def _rate(per_second: float) -> str:
    """Returns a rate with three figures, or all before the point."""
    return f"{per_second:.0f}" if per_second >= 100 else f"{per_second:.3g}"  # noqa: PLR2004 -- three figures


def _milliseconds(estimate: Estimate) -> str:
    return f"{estimate.median:.2f} [{estimate.lower:.2f}, {estimate.upper:.2f}]"
