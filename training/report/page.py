"""Writes the evaluation page: Markdown, with its pictures beside it."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from server.domain.task import HeadKind
from training.group_bootstrap import Estimate
from training.report.diagrams import (
    draw_confusion,
    draw_labels,
    draw_reliability,
    draw_strange,
    draw_worsening,
)
from training.report.evaluation import Evaluation, headline_metrics
from training.report.head_scores import HeadScores
from training.report.overlays import draw_overlays

PAGE_NAME = "evaluation.md"
FIGURES_NAME = "evaluation.json"
_NONE = "-"
_LEARNT = {"start_from": "began from", "teacher": "taught by"}


def write_page(evaluation: Evaluation, folder: Path) -> Path:
    """Writes the page, its pictures and its headline figures as JSON.

    Args:
        evaluation: What was measured.
        folder: Made if it is not there; files of the same names are replaced.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        _opening(evaluation),
        _summary(evaluation.heads),
        *(_head(each, folder) for each in evaluation.heads),
        *_by_place(evaluation),
        _wrong_answers(evaluation),
        _strange(evaluation, folder),
        _worsening(evaluation, folder),
        _overlays(evaluation, folder),
    ]
    page = folder / PAGE_NAME
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    figures = json.dumps(dict(headline_metrics(evaluation)), indent=2)
    (folder / FIGURES_NAME).write_text(figures + "\n", encoding="utf-8")
    return page


def _opening(evaluation: Evaluation) -> str:
    checkpoint, request = evaluation.checkpoint, evaluation.request
    count, all_count = len(evaluation.photos), checkpoint.data.photo_counts.get(request.split)
    share = "" if all_count is None or count == all_count else f" of {all_count}, evenly spaced,"
    views = request.views or checkpoint.network.views
    return "\n".join(
        [
            f"# {checkpoint.task_title}: tier `{checkpoint.tier}` on `{request.split}`",
            "",
            (
                f"What the trained network says of {count} photos{share} of {evaluation.specimen_count} specimens,"
                " before any engine is built from it and before its confidences are calibrated."
            ),
            "",
            (
                f"- network: `{checkpoint.network.backbone}` at {checkpoint.network.seen_size_px} px, variant"
                f" `{checkpoint.variant}`, {views} view{'' if views == 1 else 's'} of each photo"
            ),
            f"- run: `{request.folder}`, commit `{(checkpoint.git_commit or 'none')[:12]}`",
            *(
                f"- {_LEARNT[name]} `{each.folder}`, checkpoint `{each.checkpoint_sha256[:12]}`"
                for name, each in checkpoint.earlier.items()
            ),
            f"- data: `{checkpoint.data.folder}`, index `{checkpoint.data.index_sha256[:12]}`",
            *_other_data(evaluation),
            f"- this page: `{request.command}`",
            "",
            (
                "Square brackets hold 95 % intervals. They treat photos of one specimen as one draw of luck: figures"
                " over all labels by bootstrap over specimens, shares of one label by Wilson's interval that counts"
                " specimens."
            ),
        ]
    )


def _other_data(evaluation: Evaluation) -> list[str]:
    """Says so if the photos are not of the dataset that the network was trained on."""
    if evaluation.index_sha256 == evaluation.checkpoint.data.index_sha256:
        return []
    return [
        (
            f"- **the photos are of other data**: `{evaluation.request.data_folder}`, index"
            f" `{evaluation.index_sha256[:12]}`; the network may have learnt from some of them"
        )
    ]


def _summary(heads: Sequence[HeadScores]) -> str:
    rows = [
        (
            f"**{each.head.title}**",
            str(each.photo_count),
            _percent(each.accuracy),
            _NONE if each.best_accuracy is None else f"{each.best_accuracy:.1%}",
            _figure(each.macro_f1),
            _figure(each.mcc),
            _NONE if each.honesty is None else f"{each.honesty.calibration_error:.1%}",
        )
        for each in heads
    ]
    names = ("head", "photos", "accuracy", "best possible", "macro-F1", "MCC", "ECE15")
    return "\n".join(
        [
            "## In short",
            "",
            _table(names, rows),
            "",
            (
                "*Best possible* is the accuracy of one who knows the chances from which the labels were drawn; only"
                " rendered data knows them. Of a head of attributes, accuracy and MCC are means over its labels."
                " ECE15 is the calibration error over 15 bins of confidence."
            ),
        ]
    )


def _head(scores: HeadScores, folder: Path) -> str:
    head, name = scores.head, scores.head.id
    rows = [(each.label, str(each.support), _percent(each.precision), _percent(each.recall)) for each in scores.labels]
    pictures = []
    if head.kind is HeadKind.CATEGORY:
        draw_confusion(scores, folder / f"confusion_{name}.svg")
        pictures.append(f"![Confusion matrix of {head.title}](confusion_{name}.svg)")
    draw_labels(head.title, scores.labels, folder / f"labels_{name}.svg")
    pictures.append(f"![Precision and recall of each label of {head.title}](labels_{name}.svg)")
    if scores.honesty is not None:
        draw_reliability(head.title, scores.honesty, folder / f"reliability_{name}.svg")
        pictures.append(f"![Reliability diagram of {head.title}](reliability_{name}.svg)")
    return "\n".join(
        [
            f"## {head.title}",
            "",
            _table(("label", "photos with it", "precision", "recall"), rows),
            "",
            *pictures,
            "",
            (
                "*Precision*: of the photos that were given the label, the share that has it. *Recall*: of the"
                " photos that have it, the share that was given it. In the reliability diagram, points on the line"
                " mean what they say; bars are bands that hold together with 95 %, on one photo of each specimen."
            ),
        ]
    )


def _by_place(evaluation: Evaluation) -> list[str]:
    """Returns the part about places; none if the task names no targets, or no photo has a place."""
    if not evaluation.by_place:
        return []
    rows = [
        (
            f"**{each.distance}**",
            scores.head.title,
            str(scores.photo_count),
            str(each.specimen_count),
            _percent(scores.accuracy),
            _figure(scores.macro_f1),
            _figure(scores.mcc),
        )
        for each in evaluation.by_place
        for scores in each.heads
    ]
    return [
        "\n".join(
            [
                "## Is it right where it will be used?",
                "",
                _table(("from the nearest target", "head", "photos", "specimens", "accuracy", "macro-F1", "MCC"), rows),
                "",
                (
                    "Targets are those of `[training.sampling]` in the task file, whether or not photos from near them"
                    " were drawn more often in training."
                ),
            ]
        )
    ]


def _wrong_answers(evaluation: Evaluation) -> str:
    rows = [
        (
            f"**{each.head}**",
            f"{each.wrong} of {each.answered}",
            _figure(each.by_distance),
            _figure(each.by_variance),
            _figure(each.by_confidence),
        )
        for each in evaluation.wrong_answers
    ]
    return "\n".join(
        [
            "## Does it know when it is wrong?",
            "",
            _table(("head", "wrong answers", "epistemic", "aleatoric", "1 - confidence"), rows),
            "",
            (
                "AUROC: the chance that a wrong answer was doubted more than a right one; .5 is chance. *Epistemic*"
                " is how far the photo's features lie from those of the training photos, *aleatoric* the noise that"
                " the head expects in its own logits. A head of attributes has one answer a photo and label."
            ),
        ]
    )


def _strange(evaluation: Evaluation, folder: Path) -> str:
    draw_strange(evaluation.answers.feature_distances, evaluation.strange, folder / "strange.svg")
    rows = [
        (each.name, str(len(each.distances)), _figure(each.by_distance), _figure(each.by_variance))
        for each in evaluation.strange
    ]
    return "\n".join(
        [
            "## Does it know a photo that is none of its kind?",
            "",
            _table(("photos", "number", "epistemic", "aleatoric"), rows),
            "",
            "![Epistemic uncertainty of the task's photos and of strange ones](strange.svg)",
            "",
            (
                "AUROC: the chance that a strange photo was doubted more than one of this split. Noise and textures"
                " are drawn at random; the blurred (standard deviation 8 % of the side) and the negative photos are"
                " made from photos of this split."
            ),
        ]
    )


def _worsening(evaluation: Evaluation, folder: Path) -> str:
    draw_worsening(evaluation.worsenings, folder / "worsening.svg")
    rows = [
        (
            each.change,
            str(each.variances.shape[1]),
            *(f"{figure:+.2f}" for figure in (each.within_photo, each.over_all, each.with_loss)),
        )
        for each in evaluation.worsenings
    ]
    return "\n".join(
        [
            "## Does it doubt bad photos more?",
            "",
            _table(("change", "photos", "within a photo", "over all copies at once", "with the loss"), rows),
            "",
            "![Aleatoric uncertainty and accuracy as photos get worse](worsening.svg)",
            "",
            (
                "The same photos, ever worse. Spearman's rank correlation of strength and aleatoric uncertainty: +1"
                " where every step raises it. A little of a change may also make photos easier, as blur does that takes"
                " noise away; so *with the loss* compares the mean uncertainty of each strength with the mean log-loss"
                " there. The band above holds the middle half of the photos."
            ),
        ]
    )


def _overlays(evaluation: Evaluation, folder: Path) -> str:
    lines = [
        "## Where does it look?",
        "",
        (
            "Each photo, and below it the attention that pools its features, as heat. *Best* and *worst* are those"
            " whose true labels of the decision heads were given the highest and the lowest chance. Wrong answers are"
            " orange; of attributes, those wrongly seen have a plus, those missed a minus."
        ),
    ]
    for chosen in evaluation.chosen:
        if not chosen.places:
            continue
        name = f"attention_{chosen.name}.png"
        draw_overlays(chosen, evaluation.answers, evaluation.photos, evaluation.request.task, folder / name)
        lines += ["", f"### {chosen.name.capitalize()}", "", f"![Photos and attention, {chosen.name}]({name})"]
    return "\n".join(lines)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table, all columns but the first aligned right."""

    def lines() -> Iterator[str]:
        yield f"| {' | '.join(names)} |"
        yield f"|{'|'.join([':--', *['--:'] * (len(names) - 1)])}|"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines())


def _percent(each: Estimate) -> str:
    if math.isnan(each.value):
        return _NONE
    return f"{each.value:.1%}" + ("" if math.isnan(each.low) else f" [{each.low:.1%}, {each.high:.1%}]")


def _figure(each: Estimate) -> str:
    if math.isnan(each.value):
        return _NONE
    return f"{each.value:.3f}" + ("" if math.isnan(each.low) else f" [{each.low:.3f}, {each.high:.3f}]")
