"""A load test's report for people: tables for the terminal."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtests.load_report import Latency, LoadReport
from loadtests.verdict import conclusion, verdict_table


def show(console: Console, report: LoadReport, *, path: Path) -> None:
    """Prints the whole report; the limits come last, where the eye ends.

    Args:
        console: Where to.
        report: What the test showed.
        path: Where all figures lie.
    """
    console.print(
        f"[bold]{report.release}[/] ({', '.join(report.tiers)}): {report.sent:,} of {report.planned:,} planned "
        f"requests left in {report.seconds:g} s after the warm-up, seed {report.seed}."
    )
    console.print(f"Photos: {report.photos}")
    console.print(
        f"Locust took {report.client_cores:.2f} of the {report.machine_cores} cores that it shares with the gateway "
        f"and Triton; it sent 99 % within {report.late_p99_ms:.0f} ms of plan."
    )
    for table in (_requests(report), _exits(report), _kinds(report), verdict_table(report.verdicts)):
        console.print()
        console.print(table)
    console.print(conclusion(report.verdicts), f"All figures: {path}")


def _requests(report: LoadReport) -> Table:
    table = _table("Requests", "", "count", "per second")
    table.add_row("sent", f"{report.sent:,}", f"{report.sent_per_second:.1f}")
    table.add_row("answered", f"{report.answered:,}", f"{report.answered_per_second:.1f}")
    table.add_row("undecodable, and refused", f"{report.refused_rightly:,}", "")
    for code, count in report.failures.items():
        table.add_row(f"[red]failed: {code}[/]", f"{count:,}", "")
    if not report.failures:
        table.add_row("failed", "0", "")
    return table


def _exits(report: LoadReport) -> Table:
    table = _table("Exits of the cascade", "tier", "stop reason", "answers", "share", *_LATENCY)
    for each in report.exits:
        reason = each.stop_reason.replace("_", " ")
        table.add_row(each.tier, reason, f"{each.count:,}", f"{each.share:.1%}", *_latency(each.latency))
    table.add_section()
    share = f"{report.degraded_share:.1%} degraded"
    table.add_row("all", share, f"{report.answered:,}", "", *_latency(report.latency))
    return table


def _kinds(report: LoadReport) -> Table:
    table = _table("Kinds of requests", "kind", "sent", "failed", "degraded", *_LATENCY)
    for each in report.kinds:
        degraded = f"{each.degraded_share:.1%}"
        table.add_row(each.kind, f"{each.sent:,}", f"{each.failed:,}", degraded, *_latency(each.latency))
    return table


_LATENCY = ("p50, ms", "p95, ms", "p99, ms")


def _latency(latency: Latency) -> tuple[str, str, str]:
    return f"{latency.p50_ms:.0f}", f"{latency.p95_ms:.0f}", f"{latency.p99_ms:.0f}"


def _table(title: str, *headings: str) -> Table:
    """Returns a table whose columns are words up to the first figure."""
    table = Table(title=title, title_justify="left")
    words = {"", "tier", "stop reason", "kind"}
    for heading in headings:
        table.add_column(heading, justify="left" if heading in words else "right")
    return table
