"""How often a canary is sent."""

from hypothesis import given
from hypothesis import strategies as st

from server.triton.canary import pause_s


@given(st.floats(0.1, 60), st.floats(0, 1e3))
def test_canaries_are_neither_too_frequent_nor_too_rare(shortest_s: float, took_s: float) -> None:
    """Slow tiers are asked less often, but the pause never exceeds both 15 s and what was asked for."""
    pause = pause_s(shortest_s=shortest_s, took_s=took_s)
    assert shortest_s <= pause <= max(shortest_s, 15)
    assert pause >= min(15, took_s * 19)
