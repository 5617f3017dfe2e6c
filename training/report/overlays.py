"""Where the network looks: its attention as heat over the photos that it knows best, worst, and over random ones."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from server.domain.task import Head, HeadKind, Task
from training.photo_data import PhotoSplit
from training.report.answers import Answers
from training.report.diagrams import INK, STYLE, WARM

COLUMNS = 6
_SEED = 0
_DPI = 80
_LINE = 27
_CLEAR, _OPAQUE = 0.0, 0.75


@dataclass(frozen=True, slots=True)
class ChosenPhotos:
    """Photos that the page shows.

    Attributes:
        name: `best`, `worst` or `random`.
        places: Their places in the split.
    """

    name: str
    places: tuple[int, ...]


def choose_photos(answers: Answers, split: PhotoSplit, task: Task) -> tuple[ChosenPhotos, ...]:
    """Returns the photos whose true labels of the decision heads were given the highest chance, the lowest, and any.

    Photos without a label of every decision head are none of the first two kinds.
    """
    chances = np.zeros(len(split))
    for head in (task.head(each) for each in task.decision_heads):
        said, truth = answers.probabilities(head), split.labels[head.id].astype(np.int64)
        if head.kind is HeadKind.CATEGORY:
            own = np.where(truth >= 0, said[np.arange(len(truth)), truth], np.nan)
        else:
            own = np.where(truth >= 0, np.where(truth > 0, said, 1 - said), np.nan).min(axis=1)
        chances += np.log(np.maximum(own, 1e-12))
    known = np.flatnonzero(np.isfinite(chances))
    ranked = known[np.argsort(-chances[known], kind="stable")]
    some = np.sort(np.random.default_rng(_SEED).permutation(len(split))[:COLUMNS])
    return (
        ChosenPhotos("best", tuple(ranked[:COLUMNS].tolist())),
        ChosenPhotos("worst", tuple(ranked[::-1][:COLUMNS].tolist())),
        ChosenPhotos("random", tuple(some.tolist())),
    )


def draw_overlays(chosen: ChosenPhotos, answers: Answers, split: PhotoSplit, task: Task, path: Path) -> None:
    """Draws each photo above itself under its attention, and below it what was answered; wrong answers in orange.

    Args:
        chosen: Which photos.
        answers: Of the split's photos, in their order.
        split: The photos.
        task: The taxonomy.
        path: The PNG to write.
    """
    with mpl.rc_context(STYLE):
        captions = [[_caption(head, answers, split, place) for head in task.heads] for place in chosen.places]
        lines = max(sum(text.count("\n") + 1 for text, _ in each) for each in captions)
        figure = Figure(figsize=(2.1 * len(chosen.places), 4.3 + 0.155 * lines), layout="constrained")
        panels = figure.subplots(2, len(chosen.places), squeeze=False)
        for column, (place, caption) in enumerate(zip(chosen.places, captions, strict=True)):
            photo = split.pixels[place]
            heat = attention_heat(answers.attention[place], size_px=len(photo))
            panels[0, column].imshow(photo)
            panels[1, column].imshow(photo)
            panels[1, column].imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=_CLEAR + (_OPAQUE - _CLEAR) * heat)
            for axes in panels[:, column]:
                axes.set_axis_off()
            drawn = 0
            for text, is_right in caption:
                panels[1, column].annotate(
                    text,
                    (0, 0),
                    xytext=(0, -6 - 11 * drawn),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    va="top",
                    fontsize=7.5,
                    color=INK if is_right else WARM,
                )
                drawn += text.count("\n") + 1
        figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": "loupe-train"})


def attention_heat(attention: npt.NDArray[np.float32], *, size_px: int) -> npt.NDArray[np.float32]:
    """Returns [size_px, size_px] float32 in [0, 1]: the attention of a photo, its greatest place being 1.

    Args:
        attention: [rows, columns] float32. Non-negative.
        size_px: The side of the photo.
    """
    share = torch.from_numpy(attention / max(float(attention.max()), 1e-12))[None, None]
    smooth = torch.nn.functional.interpolate(share, size=(size_px, size_px), mode="bilinear", align_corners=False)
    heat: npt.NDArray[np.float32] = smooth[0, 0].numpy()
    return heat


def _caption(head: Head, answers: Answers, split: PhotoSplit, place: int) -> tuple[str, bool]:
    """Returns what was answered to one question, with the truth where it differs, and whether it is right."""
    chances, truth = answers.probabilities(head)[place], split.labels[head.id][place]
    if head.kind is HeadKind.CATEGORY:
        given = int(chances.argmax())
        said = f"{head.labels[given]} {chances[given]:.0%}"
        if truth < 0 or given == truth:
            return _wrapped(said if truth >= 0 else f"{said} (no label)"), True
        return _wrapped(f"{said}, is {head.labels[int(truth)]}"), False
    wrong = [
        f"{'+' if chance > 0.5 else '-'}{label}"  # noqa: PLR2004
        for label, chance, each in zip(head.labels, chances, truth, strict=True)
        if each >= 0 and (chance > 0.5) != (each > 0)  # noqa: PLR2004
    ]
    known = int((np.asarray(truth) >= 0).sum())
    text = f"{head.title.lower()}: {known - len(wrong)} of {known}"
    return _wrapped(f"{text}; {' '.join(wrong)}" if wrong else text), not wrong


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _LINE))
