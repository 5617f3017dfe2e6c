"""Requests are drawn by the plan's shares, and by nothing but seed and number."""

from collections import Counter

import pytest

from loadtests.mix import Mix
from loadtests.photo_kinds import UNDECODABLE
from loadtests.plan import DEFAULT_PLAN, read_plan
from loadtests.served import ServedTask, ServedTier

PLAN = read_plan(DEFAULT_PLAN)
HEADS = ("kind", "grade", "signs")


def task_of(*tiers: str) -> ServedTask:
    """Returns a task that serves these tiers, cheapest first."""
    return ServedTask("bread", 1, HEADS, tuple(ServedTier(each, "fp32", 64) for each in tiers))


def test_a_number_always_draws_the_same_request() -> None:
    """In any order, by any drawer; another seed draws others."""
    one, other = Mix(PLAN, task_of("fast", "full")), Mix(PLAN, task_of("fast", "full"))
    forwards = [one.draw(number) for number in range(200)]
    assert forwards == [other.draw(number) for number in reversed(range(200))][::-1]
    arrivals = PLAN.arrivals.model_copy(update={"seed": 1})
    reseeded = Mix(PLAN.model_copy(update={"arrivals": arrivals}), task_of("fast", "full"))
    assert forwards != [reseeded.draw(number) for number in range(200)]


def test_shares_are_kept() -> None:
    """Over 10,000 requests, within 1 point; every kind occurs."""
    mix = Mix(PLAN, task_of("fast", "medium", "full"))
    drawn = [mix.draw(number) for number in range(10_000)]
    photos = Counter(each.photo_kind for each in drawn)
    kinds = Counter(each.kind.name for each in drawn)
    assert {name: photos[name] / 10_000 for name in PLAN.photos} == pytest.approx(PLAN.photos, abs=0.01)
    assert {each.name: kinds[each.name] / 10_000 for each in PLAN.requests} == pytest.approx(
        {each.name: each.share for each in PLAN.requests}, abs=0.01
    )


@pytest.mark.parametrize(
    ("tiers", "limits"),
    [(("fast",), {"fast"}), (("fast", "full"), {"fast"}), (("fast", "medium", "full"), {"fast", "medium"})],
)
def test_a_limit_names_a_tier_below_the_strongest(tiers: tuple[str, ...], limits: set[str]) -> None:
    """All of them in turn; where there is one tier, that one; other kinds have no limit."""
    mix = Mix(PLAN, task_of(*tiers))
    drawn = [mix.draw(number) for number in range(1_000)]
    assert {each.max_tier for each in drawn if each.kind.below_strongest} == limits
    assert {each.max_tier for each in drawn if not each.kind.below_strongest} == {""}


def test_kinds_say_what_they_are_named_for() -> None:
    """Heads, deadlines, and whether an answer is due."""
    mix = Mix(PLAN, task_of("fast"))
    drawn = [mix.draw(number) for number in range(2_000)]
    assert {each.heads for each in drawn if each.kind.name == "heads"} == {(each,) for each in HEADS}
    assert {each.deadline_s for each in drawn if each.kind.name == "deadline"} == {0.2}
    assert {each.deadline_s for each in drawn if each.kind.name == "plain"} == {None}
    assert {each.photo_kind for each in drawn if not each.is_answerable} == {UNDECODABLE}


def test_no_more_heads_are_asked_for_than_there_are() -> None:
    """A plan for a richer task works on a poorer one."""
    heads = [each.model_copy(update={"head_count": 9}) for each in PLAN.requests]
    mix = Mix(PLAN.model_copy(update={"requests": tuple(heads)}), task_of("fast"))
    assert mix.draw(0).heads == HEADS
