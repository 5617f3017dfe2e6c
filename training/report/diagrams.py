"""The pictures of the evaluation page that are drawn from figures, as SVG: the same figures give the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from training.group_bootstrap import Estimate
from training.report.doubts import StrangeSet, Worsening
from training.report.head_scores import HeadScores, Honesty, LabelScore

INK = "#1f3b57"
PALE = "#b9c9d8"
WARM = "#c05a2b"
_COLOURS = (INK, WARM, "#4f8a5b", "#8a6bb1", "#b08d2f", "#5aa5b8", "#a3475f")
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "loupe", "font.size": 10}
"""Text stays text, and nothing random or dated gets into the file."""
_DARK_FROM = 0.55


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "loupe-train"})


def draw_confusion(scores: HeadScores, path: Path) -> None:
    """Draws a category's confusion matrix: the share of each true label's photos, with their number below it."""
    if scores.confusion is None:
        raise ValueError("only a category head has one confusion matrix")
    labels, counts = scores.head.labels, scores.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with mpl.rc_context(STYLE):
        side = 2.2 + 0.72 * len(labels)
        figure = Figure(figsize=(side + 0.4, side), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*shares.shape):
            if counts[row, column]:
                axes.text(
                    column,
                    row,
                    f"{shares[row, column]:.0%}\n{counts[row, column]}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if shares[row, column] > _DARK_FROM else INK,
                )
        axes.set_xticks(range(len(labels)), labels, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(labels)), labels)
        axes.set(title=scores.head.title, xlabel="answer", ylabel="truth")
        figure.colorbar(image, ax=axes, shrink=0.8, format=PercentFormatter(1.0), label="of the photos with this truth")
        _save(figure, path)


def draw_labels(title: str, labels: Sequence[LabelScore], path: Path) -> None:
    """Draws precision and recall of each label with their intervals, the first label on top."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 1.4 + 0.36 * len(labels)), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(labels), dtype=float)
        for shift, colour, name in ((-0.14, INK, "recall"), (0.14, WARM, "precision")):
            chosen = [getattr(each, name) for each in labels]
            values, reach = _with_reach(chosen)
            axes.errorbar(
                values, places + shift, xerr=reach, fmt="o", markersize=4, capsize=2, color=colour, label=name
            )
        axes.set_yticks(places, [f"{each.label} ({each.support})" for each in labels])
        axes.set(title=title, xlim=(-0.02, 1.02))
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(axis="x", color=PALE, linewidth=0.5)
        figure.legend(loc="outside lower right", frameon=False, ncols=2)
        _save(figure, path)


def draw_reliability(title: str, honesty: Honesty, path: Path) -> None:
    """Draws the share of right answers against confidence, a bin a point with its band, and the counts below."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 5.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        bins = honesty.bins
        shares = [Estimate(each.hit_share, each.hit_low, each.hit_high) for each in bins]
        values, reach = _with_reach(shares)
        upper.plot([0, 1], [0, 1], color=PALE, linewidth=1)
        confidences = [each.mean_confidence for each in bins]
        upper.errorbar(confidences, values, yerr=reach, fmt="o", markersize=4, capsize=2, color=INK)
        upper.set(title=title, ylabel="share of right answers", xlim=(0, 1), ylim=(0, 1.02))
        upper.text(
            0.03,
            0.90,
            f"ECE15 {honesty.calibration_error:.1%}\n(chance alone: up to {honesty.noise_floor:.1%})",
            transform=upper.transAxes,
            color=INK,
        )
        widths = [each.high - each.low for each in bins]
        lower.bar([each.low for each in bins], [each.count for each in bins], widths, align="edge", color=PALE, ec="w")
        lower.set(xlabel="confidence, uncalibrated", ylabel="answers")
        _save(figure, path)


def draw_strange(usual: npt.NDArray[np.floating[Any]], sets: Sequence[StrangeSet], path: Path) -> None:
    """Draws how epistemic uncertainty is spread over the split's photos and over each kind of strange ones."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        edges = np.histogram_bin_edges(np.concatenate([usual, *(each.distances for each in sets)]), bins=48).tolist()
        axes.hist(usual, edges, weights=np.full(len(usual), 1 / len(usual)), color=PALE, label="photos of the task")
        for place, each in enumerate(sets):
            axes.hist(
                each.distances,
                edges,
                weights=np.full(len(each.distances), 1 / len(each.distances)),
                histtype="step",
                linewidth=1.4,
                color=_COLOURS[place % len(_COLOURS)],
                label=each.name,
            )
        axes.set(
            title="How far from anything it was trained on",
            xlabel="epistemic uncertainty (log of squared distance)",
            ylabel="share of photos",
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        figure.legend(loc="outside lower center", frameon=False, ncols=3)
        _save(figure, path)


def draw_worsening(worsenings: Sequence[Worsening], path: Path) -> None:
    """Draws, for each change, aleatoric uncertainty (median and middle half of photos) above accuracy."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(worsenings), 5.0), layout="constrained")
        panels = figure.subplots(2, len(worsenings), sharex="col", sharey="row", squeeze=False)
        for column, each in enumerate(worsenings):
            doubt, right = panels[0, column], panels[1, column]
            places = np.arange(len(each.strengths))
            low, middle, high = np.quantile(each.variances, (0.25, 0.5, 0.75), axis=1)
            doubt.fill_between(places, low, high, color=PALE, alpha=0.6, linewidth=0)
            doubt.plot(places, middle, "o-", color=INK, markersize=4)
            doubt.set(title=f"{each.change} (rank correlation {each.within_photo:+.2f})")
            for colour, (head, accuracies) in zip(_COLOURS, each.accuracies.items(), strict=False):
                right.plot(places, accuracies, "o-", color=colour, markersize=4, label=head if column == 0 else None)
            right.set_xticks(places, [f"{100 * strength:g}" for strength in each.strengths])
            right.set(xlabel=f"{each.change}, % of the {'side' if each.change == 'blur' else 'range'}", ylim=(0, 1.02))
        panels[0, 0].set(ylabel="aleatoric uncertainty")
        panels[1, 0].set(ylabel="accuracy")
        panels[1, 0].yaxis.set_major_formatter(PercentFormatter(1.0))
        figure.legend(loc="outside lower center", frameon=False, ncols=3)
        _save(figure, path)


def _with_reach(
    estimates: Sequence[Estimate],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns [count] values, and [2, count] how far their intervals reach below and above; undefined ones as NaN."""
    values = np.array([each.value for each in estimates])
    ends = np.array([[each.value - each.low, each.high - each.value] for each in estimates])
    return values, np.clip(ends.T, 0, None)
