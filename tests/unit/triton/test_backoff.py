"""How long recovery waits before it tries again."""

from hypothesis import given
from hypothesis import strategies as st

from server.triton.backoff import Backoff


def make() -> Backoff:
    """Returns two free attempts, then 1, 2, 4 ... up to 30 s."""
    return Backoff(free_attempts=2, first_delay_s=1.0, longest_delay_s=30.0, window_s=60.0)


def test_delays_double_up_to_the_limit() -> None:
    """The first attempts are free; each further one waits twice as long."""
    backoff = make()
    assert [backoff.delay_s(now_s=0.0) for _ in range(9)] == [0, 0, 1, 2, 4, 8, 16, 30, 30]


def test_quiet_time_is_forgiven() -> None:
    """After the window the first attempts are free again."""
    backoff = make()
    for _ in range(9):
        backoff.delay_s(now_s=0.0)
    assert backoff.delay_s(now_s=60.0) == 0


@given(st.lists(st.floats(0, 1e4), max_size=60))
def test_a_delay_is_never_negative_nor_over_the_limit(pauses: list[float]) -> None:
    """Whatever the history, recovery is neither refused nor postponed without bound."""
    backoff, now_s = make(), 0.0
    for pause in pauses:
        now_s += pause
        assert 0 <= backoff.delay_s(now_s) <= 30
