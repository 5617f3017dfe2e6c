"""Pictures of a dataset: some photos of each label, and how labels, light and sizes are distributed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from server.domain.errors import PhotoRefusedError
from server.domain.framing import Framing
from server.domain.task import Head, Task
from server.imaging import prepare
from training.audit.audit_dataset import Audited, labels_of
from training.audit.findings import UNKNOWN, Counts, DatasetAudit
from training.dataset import PhotoRecord
from training.photo_facts import PhotoFacts
from training.task_file import SPLITS, Split

SAMPLES_NAME = "dataset_samples.png"
DISTRIBUTIONS_NAME = "dataset_distributions.png"

_SPLIT_COLOURS: dict[Split, str] = {
    "train": "#31688e", "val_select": "#35b779", "val_calib": "#f0a202", "val_test": "#b5367a",
}  # fmt: skip
_INK, _QUIET = "#222222", "#8a8a8a"
_COLUMNS = 8
_SAMPLE_PX = 160
_MOST_ROWS = 10
_MOST_BARS = 12
_DPI = 110


def draw_samples(audited: Audited, folder: Path, *, task: Task, framing: Framing, target: Path, seed: int = 42) -> None:
    """Draws photos of each label of the first decision head, at random; a frame's colour is the photo's split.

    Args:
        audited: The audit.
        folder: The dataset's folder.
        task: The taxonomy.
        framing: How a photo becomes a square.
        target: The PNG to write.
        seed: Of the choice.
    """
    head = task.head(task.decision_heads[0])
    labels = head.labels[:_MOST_ROWS]
    figure = Figure(figsize=(1.3 * _COLUMNS + 1.6, 1.45 * len(labels) + 0.8), layout="constrained")
    axes = figure.subplots(len(labels), _COLUMNS, squeeze=False)
    generator = np.random.default_rng(seed)
    for row, label in zip(axes, labels, strict=True):
        bearers = [
            each for each in audited.records if label in labels_of(each, head.id) and each.photo in audited.facts
        ]
        for place, axis in enumerate(row):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if place == 0:
                axis.set_ylabel(f"{label}\n{audited.findings.labels[head.id][label].photos:,}", rotation=0, ha="right")
        for axis, place in zip(row, generator.permutation(len(bearers)), strict=False):
            _draw_photo(axis, bearers[place], folder, framing)
    figure.suptitle(f"{task.title}: photos by {head.title.lower()}", fontsize=13, color=_INK)
    handles = [_swatch(split) for split in SPLITS]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(SPLITS), frameon=False, fontsize=9)
    _save(figure, target)


def _swatch(split: Split) -> Line2D:
    return Line2D([], [], color=_SPLIT_COLOURS[split], linewidth=4, label=split)


def _draw_photo(axis: Axes, record: PhotoRecord, folder: Path, framing: Framing) -> None:
    try:
        axis.imshow(prepare((folder / record.photo).read_bytes(), size_px=_SAMPLE_PX, framing=framing))
    except (OSError, PhotoRefusedError):
        # It was readable when it was audited; a picture is no reason to fail.
        return
    axis.spines[:].set(visible=True, color=_SPLIT_COLOURS[record.split], linewidth=2.5)


def draw_distributions(audited: Audited, *, task: Task, target: Path) -> None:
    """Draws the labels of every head by split, what goes together, brightness, sizes, and conditions.

    Args:
        audited: The audit.
        task: The taxonomy.
        target: The PNG to write.
    """
    audit = audited.findings
    panels = _panels(audited, task)
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.5 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, draw in zip(axes, panels, strict=False):
        draw(axis)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(
        f"{task.title}: {audit.photo_count:,} photos of {audit.specimen_count:,} specimens", fontsize=14, color=_INK
    )
    _save(figure, target)


def _panels(audited: Audited, task: Task) -> list[Callable[[Axes], None]]:
    audit, facts = audited.findings, list(audited.facts.values())
    panels: list[Callable[[Axes], None]] = [partial(_draw_labels, audit=audit, head=head) for head in task.heads]
    panels += [partial(_draw_together, name=name, table=table) for name, table in audit.together.items()]
    if facts:
        panels += [partial(_draw_brightness, facts=facts), partial(_draw_sizes, facts=facts)]
    conditions = {"Device": audit.devices, "Lighting": audit.lighting, "Place near": audit.places}
    panels += [
        partial(_draw_counts, title=title, counts=counts) for title, counts in conditions.items() if _is_known(counts)
    ]
    if _is_known(audit.months):
        panels.append(partial(_draw_counts, title="Month", counts=dict(sorted(audit.months.items()))))
    return panels


def _is_known(counts: Counts) -> bool:
    return any(name != UNKNOWN for name in counts)


def _draw_labels(axis: Axes, *, audit: DatasetAudit, head: Head) -> None:
    places = np.arange(len(head.labels))
    left = np.zeros(len(head.labels))
    counts = audit.labels[head.id]
    for split in SPLITS:
        widths = np.array([counts[label].photos_by_split[split] for label in head.labels], dtype=np.float64)
        axis.barh(places, widths, left=left, color=_SPLIT_COLOURS[split], label=split)
        left += widths
    axis.set_yticks(places, head.labels)
    axis.invert_yaxis()
    _write_counts(axis, left)
    axis.legend(fontsize=7, frameon=False, loc="lower right")
    _dress(axis, head.title, "photos")


def _draw_counts(axis: Axes, *, title: str, counts: Counts) -> None:
    shown = dict(list(counts.items())[:_MOST_BARS])
    places = np.arange(len(shown))
    colours = [_QUIET if name == UNKNOWN else _SPLIT_COLOURS["train"] for name in shown]
    axis.barh(places, list(shown.values()), color=colours)
    axis.set_yticks(places, list(shown))
    axis.invert_yaxis()
    _write_counts(axis, np.array(list(shown.values()), dtype=np.float64))
    more = f" (the first {len(shown)} of {len(counts)})" if len(counts) > len(shown) else ""
    _dress(axis, title + more, "photos")


def _write_counts(axis: Axes, totals: npt.NDArray[np.float64]) -> None:
    axis.set_xlim(0, 1.16 * max(1.0, float(totals.max(initial=0))))
    for place, total in enumerate(totals):
        axis.text(total, place, f" {total:,.0f}", va="center", fontsize=8, color=_INK if total else "#b00020")


def _draw_together(axis: Axes, *, name: str, table: Mapping[str, Counts]) -> None:
    counts = np.array([list(row.values()) for row in table.values()], dtype=np.float64)
    axis.imshow(np.sqrt(counts), cmap="viridis", aspect="auto")
    columns = list(next(iter(table.values())))
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(table)), list(table))
    bright = np.sqrt(counts) > 0.6 * np.sqrt(counts.max(initial=1))
    for row, column in np.ndindex(counts.shape):
        colour = _INK if bright[row, column] else "white"
        axis.text(column, row, f"{counts[row, column]:,.0f}", ha="center", va="center", fontsize=8, color=colour)
    axis.set_title(name.replace("_", " "), fontsize=11, loc="left", color=_INK)


def _draw_brightness(axis: Axes, *, facts: Sequence[PhotoFacts]) -> None:
    axis.hist([each.brightness for each in facts], bins=np.linspace(0, 255, 52).tolist(), color=_SPLIT_COLOURS["train"])
    axis.set_xlim(0, 255)
    axis.set_ylabel("photos", fontsize=9)
    _dress(axis, "Brightness", "mean luma, 0 to 255")


def _draw_sizes(axis: Axes, *, facts: Sequence[PhotoFacts]) -> None:
    sizes, counts = np.unique([(each.width_px, each.height_px) for each in facts], axis=0, return_counts=True)
    areas = 10 + 500 * counts / counts.sum()
    axis.scatter(sizes[:, 0], sizes[:, 1], s=areas, color=_SPLIT_COLOURS["train"], alpha=0.45, linewidths=0)
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("height, px", fontsize=9)
    _dress(axis, f"Sizes as stored ({len(sizes)} different)", "width, px; a disc's area is the number of photos")


def _dress(axis: Axes, title: str, below: str) -> None:
    axis.set_title(title, fontsize=11, loc="left", color=_INK)
    axis.set_xlabel(below, fontsize=9)
    axis.tick_params(labelsize=8, length=0)
    axis.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, target: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(target, dpi=_DPI, facecolor="white")
