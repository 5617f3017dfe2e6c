"""Reliability diagrams as SVG: the same metrics give the same bytes."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from build_engines.measure import QuestionMetrics

_INK = "#1f3b57"
_PALE = "#b9c9d8"


def draw_reliability(question: QuestionMetrics, path: Path, *, title: str) -> None:
    """Draws the share borne out against confidence, a bin a point with its band, and the counts below.

    Args:
        question: Its bins are drawn.
        path: The SVG to write.
        title: What people read above it.
    """
    # Text stays text, and nothing random or dated gets into the file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "loupe", "font.size": 10}):
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
