"""Reliability diagrams as SVG: the same metrics give the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from build_engines.measure import QuestionMetrics

_INK = "#1f3b57"
_PALE = "#b9c9d8"


_WARM = "#c05a2b"
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "loupe", "font.size": 10}
"""Text stays text, and nothing random or dated gets into the file."""


@dataclass(frozen=True, slots=True)
class WayToAnswer:
    """A point of the picture of cost against accuracy.

    Attributes:
        name: What people read.
        cost_ms: Of an inspection.
        accuracy: In [0, 1].
        half_width: Of the 95 % interval of the accuracy; 0 for none.
        is_ours: Whether it is what the release does.
    """

    name: str
    cost_ms: float
    accuracy: float
    half_width: float = 0.0
    is_ours: bool = False


def draw_costs(ways: Sequence[WayToAnswer], frontier: Sequence[tuple[float, float]], path: Path, *, title: str) -> None:
    """Draws accuracy against cost.

    Args:
        ways: Named points; single tiers come first, cheapest first, and are joined: the random mixes of them.
        frontier: Cost and accuracy of what else the solver could have chosen.
        path: The SVG to write.
        title: What people read above it.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        tiers = [each for each in ways if each.name.endswith(" alone")]
        axes.plot(
            [each.cost_ms for each in tiers], [each.accuracy for each in tiers], color=_PALE, label="mix of two tiers"
        )
        if frontier:
            costs, accuracies = zip(*sorted(frontier), strict=True)
            axes.plot(costs, accuracies, ".", color=_PALE, markersize=4, label="candidates of the solver")
        for place, each in enumerate(ways):
            colour = _WARM if each.is_ours else _INK
            axes.errorbar(
                [each.cost_ms], [each.accuracy], yerr=[each.half_width], fmt="o", markersize=5, capsize=2, color=colour
            )
            above = place % 2 == 0
            axes.annotate(
                each.name,
                (each.cost_ms, each.accuracy),
                xytext=(6, 7 if above else -13),
                textcoords="offset points",
                color=colour,
            )
        axes.margins(x=0.16, y=0.14)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
        axes.set(title=title, xlabel="milliseconds an inspection", ylabel="accuracy on val_test")
        axes.legend(loc="lower right", frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "loupe-build"})


def draw_reliability(question: QuestionMetrics, path: Path, *, title: str, raw: QuestionMetrics | None = None) -> None:
    """Draws the share borne out against confidence, a bin a point with its band, and the counts below.

    Args:
        question: Its bins are drawn.
        path: The SVG to write.
        title: What people read above it.
        raw: The same before calibration, drawn as a line.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 5.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        confidences = np.array([each.mean_confidence for each in question.bins])
        shares = np.array([each.hit_share for each in question.bins])
        below = shares - [each.hit_low for each in question.bins]
        above = np.array([each.hit_high for each in question.bins]) - shares
        upper.plot([0, 1], [0, 1], color=_PALE, linewidth=1)
        upper.errorbar(
            confidences, shares, yerr=np.clip([below, above], 0, None), fmt="o", markersize=4, capsize=2, color=_INK
        )
        if raw is not None:
            upper.plot(
                [each.mean_confidence for each in raw.bins],
                [each.hit_share for each in raw.bins],
                color=_WARM,
                linewidth=1,
                linestyle="--",
                label=f"before calibration: {raw.calibration_error:.2%}",
            )
            upper.legend(loc="lower right", frameon=False)
        upper.set(title=title, ylabel="share borne out", xlim=(0, 1), ylim=(0, 1))
        upper.text(
            0.03,
            0.93,
            f"ECE15 {question.calibration_error:.2%} (chance alone: up to {question.noise_floor:.2%})",
            transform=upper.transAxes,
            color=_INK,
        )
        edges = [each.low for each in question.bins]
        widths = [each.high - each.low for each in question.bins]
        lower.bar(edges, [each.count for each in question.bins], width=widths, align="edge", color=_PALE, edgecolor="w")
        lower.set(xlabel="confidence", ylabel="items")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "loupe-build"})
