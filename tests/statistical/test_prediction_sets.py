"""Prediction sets at 90 % on real network outputs, beside plain LAC on the same probabilities."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from server.domain.calibration.category_fit import fit_smoothed_temperature
from server.domain.conformal import (
    PredictionSets,
    fit_class_conditional_sets,
    fit_marginal_sets,
    fit_prediction_sets,
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3_600)]

COVERAGE = 0.90
SPLITS = 8
MAP_ITEMS, SET_ITEMS = 1_000, 4_000
NETWORKS = (
    "lenet5_probs",
    "wrn16_4_probs",
    "resnet20_jpeg75_logits",
    "resnet32_jpeg75_logits",
    "resnet44_jpeg75_logits",
    "resnet56_jpeg75_logits",
)


@pytest.fixture(scope="module")
def outputs(shared_material: Path) -> dict[str, np.ndarray]:
    """Labels and logits of six networks on CIFAR-10."""
    with np.load(shared_material / "data" / "cifar10_six_networks.npz", allow_pickle=False) as file:
        logits = {
            name: np.log(np.maximum(file[name].astype(np.float64), 1e-30))
            if name.endswith("probs")
            else file[name].astype(np.float64)
            for name in NETWORKS
        }
        return {**logits, "labels": file["labels"].astype(np.int64)}


def plain_lac(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The threshold of split-conformal LAC, by its definition and by no code of ours; its sets may be empty."""
    scores = np.sort(1 - probabilities[np.arange(len(labels)), labels])
    return float(1 - scores[int(np.ceil((len(labels) + 1) * COVERAGE)) - 1])


def mapie_lac(probabilities: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray | None:
    """The sets of MAPIE's LAC where it is installed: an oracle that the project does not depend on."""
    try:
        from mapie.classification import SplitConformalClassifier  # type: ignore[import-not-found]  # noqa: PLC0415
    except ImportError:
        return None
    from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: PLC0415

    class Probabilities(ClassifierMixin, BaseEstimator):
        """A classifier whose inputs are its answers."""

        def fit(self, inputs: np.ndarray, targets: np.ndarray) -> "Probabilities":
            self.classes_, self.n_features_in_ = np.arange(inputs.shape[1]), inputs.shape[1]
            del targets
            return self

        def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
            return inputs

        def predict(self, inputs: np.ndarray) -> np.ndarray:
            return inputs.argmax(axis=1)

    model = Probabilities().fit(probabilities, labels)
    oracle = SplitConformalClassifier(model, confidence_level=COVERAGE, conformity_score="lac", prefit=True)
    return oracle.conformalize(probabilities, labels).predict_set(new)[1][:, :, 0]


def measured(inside: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Coverage, mean size, and coverage of the worst class."""
    covered = inside[np.arange(len(labels)), labels]
    worst = min(float(covered[labels == each].mean()) for each in range(inside.shape[1]))
    return float(covered.mean()), float(inside.sum(axis=1).mean()), worst


def test_sets_cover_and_are_no_larger_than_lac(outputs: dict[str, np.ndarray]) -> None:
    """Coverage 90 % within its standard error, or that of the answer alone where this is more; never an empty set.

    LAC may answer with nothing. Beside it stands LAC with its empty sets filled by the answer, which is what a set that
    is never empty can be held against.
    """
    labels = outputs["labels"]
    table = Table(
        "network", "accuracy", "sets", "coverage", "worst class", "mean size", "empty", title=f"{SPLITS} splits"
    )
    test_count = len(labels) - MAP_ITEMS - SET_ITEMS
    error = (COVERAGE * (1 - COVERAGE) * (1 / SET_ITEMS + 1 / test_count)) ** 0.5
    for name in NETWORKS:
        rows: dict[str, list[tuple[float, ...]]] = {}
        accuracies = []
        for split in range(SPLITS):
            order = np.random.default_rng(split).permutation(len(labels))
            maps, fits, tests = np.split(order, [MAP_ITEMS, MAP_ITEMS + SET_ITEMS])
            temperature = fit_smoothed_temperature(outputs[name][maps], labels[maps])
            known, new = temperature.calibrate(outputs[name][fits]), temperature.calibrate(outputs[name][tests])
            answers = np.eye(new.shape[1], dtype=bool)[new.argmax(axis=1)]
            accuracies.append(answers[np.arange(test_count), labels[tests]].mean())
            lac = new >= plain_lac(known, labels[fits])
            oracle = mapie_lac(known, labels[fits], new)
            found = {
                "marginal": fit_marginal_sets(known, labels[fits]).membership(new),
                "class-conditional": fit_class_conditional_sets(known, labels[fits]).membership(new),
                "LAC": lac,
                "LAC, filled": lac | answers,
            }
            if oracle is not None:
                found["MAPIE"] = oracle
                assert (oracle != lac).mean() < 1e-4
            for kind, inside in found.items():
                rows.setdefault(kind, []).append((*measured(inside, labels[tests]), (~inside.any(axis=1)).mean()))
        accuracy = float(np.mean(accuracies))
        means = {kind: np.mean(values, axis=0) for kind, values in rows.items()}
        for kind, (coverage, size, worst, empty) in means.items():
            table.add_row(
                name, f"{accuracy:.3f}", kind, f"{coverage:.4f}", f"{worst:.3f}", f"{size:.4f}", f"{empty:.2%}"
            )
        coverage, size, _, empty = means["marginal"]
        assert empty == 0
        assert coverage >= COVERAGE - error
        assert coverage <= max(COVERAGE, accuracy) + error
        assert size <= means["LAC, filled"][1]
        if means["LAC"][3] == 0:
            assert size <= means["LAC"][1] + 1e-9
        assert means["class-conditional"][2] >= COVERAGE - 3 * error * 10**0.5
    Console(width=120).print(table)


def test_sets_are_class_conditional_where_labels_allow(outputs: dict[str, np.ndarray]) -> None:
    """With 400 labels a class the default is class-conditional; with 40 it is not."""
    temperature = fit_smoothed_temperature(outputs["lenet5_probs"][:1_000], outputs["labels"][:1_000])

    def fitted(count: int) -> PredictionSets:
        chosen = slice(1_000, 1_000 + count)
        return fit_prediction_sets(temperature.calibrate(outputs["lenet5_probs"][chosen]), outputs["labels"][chosen])

    assert (fitted(4_000).class_conditional, fitted(400).class_conditional) == (True, False)
