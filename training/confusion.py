"""Figures of confusion tables: [table_count, side, side] float64, truth in rows, what was said in columns.

A category head has one table of all its labels; attributes have one a label, absent before present. Entries may be
counts, weights, or chances.
"""

import numpy as np

from training.group_bootstrap import FloatArray


def accuracy_of(tables: FloatArray) -> float:
    """Returns the mean accuracy, in [0, 1]; NaN without any entry."""
    totals = tables.sum(axis=(1, 2))
    right = np.trace(tables, axis1=1, axis2=2)
    return float((right[totals > 0] / totals[totals > 0]).mean()) if (totals > 0).any() else float("nan")


def macro_f1_of(tables: FloatArray, *, of_present: bool) -> float:
    """Returns the mean F1 over the labels that occur or were given; if told so, leaves out each table's "absent"."""
    hits = np.diagonal(tables, axis1=1, axis2=2)
    halves = (tables.sum(axis=1) + tables.sum(axis=2)) / 2
    if of_present:
        hits, halves = hits[:, 1:], halves[:, 1:]
    return float((hits[halves > 0] / halves[halves > 0]).mean()) if (halves > 0).any() else float("nan")


def mcc_of(tables: FloatArray) -> float:
    """Returns the mean Matthews correlation, in [-1, 1]; that of a table with one truth or one answer is 0.

    Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", 2004.
    """
    totals = tables.sum(axis=(1, 2))
    truths, given = tables.sum(axis=2), tables.sum(axis=1)
    covariance = np.trace(tables, axis1=1, axis2=2) * totals - (truths * given).sum(axis=1)
    spread = (totals**2 - (truths**2).sum(axis=1)) * (totals**2 - (given**2).sum(axis=1))
    if not (totals > 0).any():
        return float("nan")
    each = np.divide(covariance, np.sqrt(spread), out=np.zeros_like(totals), where=spread > 0)
    return float(each[totals > 0].mean())
