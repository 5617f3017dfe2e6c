"""Diagrams of a report as SVG: the same metrics give the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from build_engines.assure import AssuranceMetrics
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
        _save(figure, path)


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
        _save(figure, path)


def draw_assurances(tiers: Sequence[tuple[str, Sequence[AssuranceMetrics]]], path: Path) -> None:
    """Draws what bands say against what was seen, a quarter of the confidences a bar, and the coverage of sets.

    Args:
        tiers: What people read above a column, and its questions in the task's order; the same ones in each.
        path: The SVG to write.
    """
    questions = [each.question for each in tiers[0][1]]
    categories = [place for place, each in enumerate(tiers[0][1]) if each.set_target is not None]
    attributes = [place for place in range(len(questions)) if place not in categories]
    heights = [1.0] * len(categories) + [1.5] * bool(attributes) + [0.45 + 0.2 * len(categories)]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.6 + 3.4 * len(tiers), 2.1 * sum(heights)), layout="constrained")
        rows = figure.subplots(len(heights), len(tiers), squeeze=False, height_ratios=heights)
        for column, (name, measured) in enumerate(tiers):
            for row, place in enumerate(categories):
                _draw_quarters(rows[row, column], [measured[place]], ylabel="" if column else questions[place])
                rows[row, column].set_xticks(range(4), ["least sure", "", "", "most sure"])
            if attributes:
                axes = rows[len(categories), column]
                _draw_quarters(axes, [measured[place] for place in attributes], ylabel="" if column else "attributes")
                middles = [5 * place + 1.5 for place in range(len(attributes))]
                names = [questions[place].partition(".")[2] for place in attributes]
                axes.set_xticks(middles, names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
            _draw_sets(rows[-1, column], [measured[place] for place in categories], named=column == 0)
            rows[0, column].set_title(name)
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """Writes an SVG that repeats byte for byte: the last digits of a layout do not, and names hang on them."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(tuple(round(each, 3) for each in axes.get_position().bounds))
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "loupe-build"})


def _draw_quarters(axes: Axes, measured: Sequence[AssuranceMetrics], *, ylabel: str) -> None:
    """Draws each question's quarters side by side: the band a bar, the share borne out a line with its interval."""
    quarters = [
        (5 * place + step, each) for place, one in enumerate(measured) for step, each in enumerate(one.quarters)
    ]
    for x, each in quarters:
        axes.bar(x, each.band_high - each.band_low, bottom=each.band_low, width=0.8, color=_PALE)
        axes.plot([x, x], [each.hit_low, each.hit_high], color=_INK if each.is_held else _WARM, linewidth=2)
    axes.set(ylabel=ylabel, ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _draw_sets(axes: Axes, measured: Sequence[AssuranceMetrics], *, named: bool) -> None:
    """Draws the coverage of each question's sets with its interval, against what they promise."""
    for place, each in enumerate(measured):
        target = each.set_target or 0.0
        colour = _INK if each.sets_hold else _WARM
        axes.plot([each.set_low, each.set_high], [place, place], color=colour, linewidth=2)
        axes.plot([each.set_coverage], [place], "o", color=colour, markersize=4)
        axes.plot([target, target], [place - 0.4, place + 0.4], color=_PALE, linewidth=2)
    axes.set_yticks(range(len(measured)), [each.question for each in measured] if named else [""] * len(measured))
    axes.set(xlabel="sets that hold the true label", ylim=(max(len(measured), 1) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.margins(x=0.2)
