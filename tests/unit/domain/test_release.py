"""A release binds its parts, or refuses to exist."""

import dataclasses

import pytest
from builders import SCALE, SHA, TASK, make_release, make_tier, temperature_of

from server.domain.errors import ReleaseRefusedError, UnknownHeadError, UnknownTierError
from server.domain.release import Meaning, Release
from server.domain.task import Head, HeadKind, Task


def test_a_release_knows_its_name_and_tiers() -> None:
    """Resource name, order and lookup."""
    release = make_release("fast", "full")
    assert release.name == "tasks/bread/releases/1"
    assert release.tier_ids == ("fast", "full")
    assert release.tier("full").engine.model == "bread_r1_full"
    with pytest.raises(UnknownTierError):
        release.tier("medium")


def test_a_calibrator_of_another_engine_is_refused() -> None:
    """An engine and a map that was fitted on another one's outputs never serve together."""
    tier = make_tier()
    engine = dataclasses.replace(tier.engine, sha256="c" * 64)
    with pytest.raises(ReleaseRefusedError, match="fitted on another engine"):
        Release(TASK, 1, (dataclasses.replace(tier, engine=engine),))


def test_all_findings_are_named_at_once() -> None:
    """A release with several faults says them all."""
    tier = dataclasses.replace(make_tier(), meaning=Meaning({}, SCALE), thresholds={"kind": 0.5})
    with pytest.raises(ReleaseRefusedError) as caught:
        Release(TASK, 0, (tier, tier))
    text = "; ".join(caught.value.findings)
    for fault in ("below 1", "twice", "calibrators for []", "thresholds for ['kind']"):
        assert fault in text


def test_a_map_of_the_wrong_kind_is_refused() -> None:
    """A temperature cannot serve attributes."""
    tier = make_tier()
    calibrators = {**tier.meaning.calibrators, "signs": temperature_of(tier.engine.sha256)}
    wrong = Meaning(calibrators, SCALE)
    for changed in ({"meaning": wrong}, {"meaning_at_exit": wrong}):
        with pytest.raises(ReleaseRefusedError, match="cannot serve head signs"):
            Release(TASK, 1, (dataclasses.replace(tier, **changed),))


@pytest.mark.parametrize("head", ["signs", "crumb"])
def test_only_decision_heads_have_deciders(head: str) -> None:
    """What has no threshold decides nothing."""
    tier = dataclasses.replace(make_tier(), deciders={head: temperature_of(SHA)})
    with pytest.raises(ReleaseRefusedError, match="no decision head"):
        Release(TASK, 1, (tier,))


def test_a_release_needs_a_tier() -> None:
    """Nothing to run is nothing to serve."""
    with pytest.raises(ReleaseRefusedError, match="no tier"):
        Release(TASK, 1, ())


@pytest.mark.parametrize(
    ("labels", "kind"), [(("a",), HeadKind.CATEGORY), (("a", "a"), HeadKind.CATEGORY), ((), HeadKind.ATTRIBUTES)]
)
def test_a_head_needs_labels_that_differ(labels: tuple[str, ...], kind: HeadKind) -> None:
    """Two for a category, one for attributes, none twice."""
    with pytest.raises(ValueError, match="head h has"):
        Head("h", "H", kind, labels)


def test_a_head_id_is_lower_snake_case() -> None:
    """Ids become output names of engines."""
    with pytest.raises(ValueError, match="snake"):
        Head("Kind", "Kind", HeadKind.CATEGORY, ("a", "b"))


def test_decision_heads_are_category_heads_of_the_task() -> None:
    """Attributes cannot decide, and somebody must."""
    for decision_heads in (("signs",), (), ("nothing",)):
        with pytest.raises(ValueError, match="decision heads"):
            Task("bread", "Bread", TASK.heads, decision_heads)
    with pytest.raises(ValueError, match="twice"):
        Task("bread", "Bread", (TASK.heads[0], TASK.heads[0]), ("kind",))
    with pytest.raises(ValueError, match="snake"):
        Task("Bread!", "Bread", TASK.heads, ("kind",))


def test_an_unknown_head_is_named_with_the_known_ones() -> None:
    """The error carries what there is."""
    with pytest.raises(UnknownHeadError) as caught:
        TASK.head("taste")
    assert caught.value.known == ("kind", "grade", "signs")
