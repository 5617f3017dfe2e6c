"""Builds valid domain objects, so that a test states only what it is about."""

from server.domain.calibration.binary_maps import Platt
from server.domain.calibration.calibrator import AttributeMaps, Calibrator
from server.domain.calibration.category_maps import SmoothedTemperature
from server.domain.known_answer import KnownAnswer
from server.domain.release import EngineRef, Meaning, Release, TierRelease
from server.domain.task import Head, HeadKind, Task
from server.domain.uncertainty import QUANTILE_COUNT, UncertaintyScale

SHA = "a" * 64

TASK = Task(
    id="bread",
    title="Bread",
    heads=(
        Head("kind", "Kind", HeadKind.CATEGORY, ("rye", "wheat", "spelt")),
        Head("grade", "Grade", HeadKind.CATEGORY, ("good", "bad")),
        Head("signs", "Signs", HeadKind.ATTRIBUTES, ("crust", "mould")),
    ),
    decision_heads=("kind", "grade"),
)

SCALE = UncertaintyScale(
    feature_distance_quantiles=tuple(float(each) for each in range(QUANTILE_COUNT)),
    logit_variance_quantiles=tuple(each / 100 for each in range(QUANTILE_COUNT)),
    out_of_distribution_distance=95.0,
    false_alarm_rate=0.05,
)

KNOWN_ANSWER = KnownAnswer("releases/bread/1/known_answer.jpg", SHA, (), {}, {})


def temperature_of(sha256: str, temperature: float = 1.0, *, item_count: int = 1000) -> Calibrator:
    """Returns a calibrator of a category that divides logits, and smooths by the count of its labels."""
    return Calibrator(sha256, SmoothedTemperature(temperature, 1 / (item_count + 1)), item_count)


def platt_of(sha256: str, *slopes: float, item_count: int = 1000) -> Calibrator:
    """Returns a calibrator of attributes with these slopes and no intercepts."""
    maps = tuple(Platt(each, 0.0, 1 / (item_count + 2)) for each in slopes)
    return Calibrator(sha256, AttributeMaps(maps), item_count)


def make_tier(tier: str = "fast", *, sha256: str = SHA, thresholds: dict[str, float] | None = None) -> TierRelease:
    """Returns a tier of the bread task whose calibrators change nothing but for smoothing."""
    return TierRelease(
        tier=tier,
        engine=EngineRef(
            f"bread_r1_{tier}",
            "fp32",
            sha256,
            f"triton/bread_r1_{tier}_engine/1/model.onnx",
            input_size_px=32,
            attention_grid=(4, 4),
            gives_pixels=True,
        ),
        meaning=make_meaning(sha256),
        thresholds=thresholds or {"kind": 0.9, "grade": 0.8},
        known_answer=KNOWN_ANSWER,
    )


def make_meaning(sha256: str = SHA, *, temperature: float = 1.0) -> Meaning:
    """Returns a meaning of the bread task: categories divided by a temperature, attributes as they are."""
    return Meaning(
        calibrators={
            "kind": temperature_of(sha256, temperature),
            "grade": temperature_of(sha256, temperature),
            "signs": platt_of(sha256, 1.0, 1.0),
        },
        uncertainty=SCALE,
    )


def make_release(*tiers: str) -> Release:
    """Returns release 1 of the bread task with these tiers, cheapest first."""
    *early, last = tiers or ("fast",)
    # As a builder leaves them: behind the strongest of several tiers nothing is decided.
    never = dict.fromkeys(TASK.decision_heads, 1.01) if early else None
    return Release(TASK, 1, (*(make_tier(each) for each in early), make_tier(last, thresholds=never)))
