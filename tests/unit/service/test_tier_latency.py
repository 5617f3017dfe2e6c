"""How long a tier takes these days."""

from fakes import FakeClock

from server.service.tier_latency import TierLatency


def test_few_runs_say_nothing() -> None:
    """A quantile of three runs would be a guess."""
    latency = TierLatency(FakeClock())
    for _ in range(3):
        latency.record(0.1)
    assert latency.quantile_s(0.95) is None


def test_quantiles_are_of_the_recent_runs() -> None:
    """Of a hundred runs, five took longer than the 95th percentile."""
    latency = TierLatency(FakeClock())
    for each in range(100):
        latency.record(each / 1000)
    assert latency.quantile_s(0.95) == 0.095
    assert latency.quantile_s(0.5) == 0.05


def test_old_runs_are_forgotten() -> None:
    """A slow minute must not keep callers away for ever."""
    clock = FakeClock()
    latency = TierLatency(clock)
    for _ in range(50):
        latency.record(9.0)
    clock.advance(61)
    assert latency.quantile_s(0.95) is None
    for _ in range(10):
        latency.record(0.1)
    assert latency.quantile_s(0.95) == 0.1


def test_what_is_usual_is_remembered() -> None:
    """A tier that nobody has used for a while is expected to be as fast as it was; one that changes is believed."""
    clock = FakeClock()
    latency = TierLatency(clock)
    assert latency.usual_s() is None
    for _ in range(50):
        latency.record(0.1)
    assert latency.usual_s() == 0.1
    clock.advance(600)
    assert latency.usual_s() == 0.1
    for _ in range(50):
        latency.record(0.2)
    assert latency.usual_s() == 0.2
