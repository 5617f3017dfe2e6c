"""The bench judges by its limits, and says what it could not judge."""

import time
from pathlib import Path

import pytest
from builders import TASK
from rich.console import Console
from toy_engine import SIZE_PX, toy_photo, write_toy_engine

from loadtests.bench_report import BenchReport, show, verdicts_of
from loadtests.cascade_bench import CascadeFigures, CascadeHalf, cascade_figures, compare_cascade
from loadtests.ceiling import measure_ceiling
from loadtests.closed_loop import Window
from loadtests.cpu import CpuClock
from loadtests.targets import in_turn
from loadtests.tier_bench import Half, TierFigures, compare, tier_cost, tier_row
from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1.prediction_pb2 import CascadeTrace
from server.imaging import Framing

CPU = {"gateway": 0.1, "Triton": 0.2, "Python stubs": 0.3, "client": 0.4}


def half(per_second: float, latency_ms: float = 2.0) -> Half:
    """Returns a second of requests that are all alike."""
    return Half(Window(1.0, (latency_ms,) * int(per_second)), CPU)


def figures(
    tier: str, *, ratio: float = 0.95, added_ms: float = 1.0, in_flight: tuple[int, ...] = (1, 16)
) -> TierFigures:
    """Returns what was measured of a tier, in two pairs at each number in flight."""
    both = [(half(1_000 * ratio, 2 + added_ms), half(1_000))] * 2
    rows = [tier_row(both, in_flight=each) for each in in_flight]
    return TierFigures(
        tier=tier, precision="fp32", input_size_px=64, ceiling_per_second=2_000, rows=tuple(rows), cost=tier_cost(rows)
    )


def cascade(*, seconds: float = 1.0, degraded: int = 0, photos: int = 1_000) -> CascadeFigures:
    """Returns what was measured of a cascade that answers 100 photos in some time, the strongest tier in 4 s."""
    fast, full, weak = CascadeTrace(tier="fast"), CascadeTrace(tier="full"), CascadeTrace(tier="fast", degraded=True)
    traces = (full,) * 20 + (weak,) * degraded + (fast,) * (80 - degraded)
    both = [(CascadeHalf(seconds, traces, 1.0), CascadeHalf(4.0, (full,) * 100, 4.0))] * 2
    return cascade_figures(both, tiers=("fast", "full"), in_flight=16, distinct_photos=photos)


def missed(tiers: list[TierFigures], of_cascade: CascadeFigures | None = None) -> list[str]:
    """Returns the limits that are missed."""
    return [each.name.split(",")[0] for each in verdicts_of(tiers, of_cascade) if not each.holds]


def test_a_row_is_what_its_pairs_show() -> None:
    """Rates, ratios, differences, and costs by process."""
    row = figures("fast", ratio=0.8, added_ms=0.5).rows[0]
    assert (row.gateway.per_second, row.triton.per_second) == (800, 1_000)
    assert row.throughput_ratio.median == pytest.approx(0.8)
    assert row.added_median_ms.median == pytest.approx(0.5)
    assert row.triton.cpu_ms == pytest.approx({"gateway": 0.1, "Triton": 0.2, "Python stubs": 0.3, "client": 0.4})
    assert row.triton.service_cpu_ms == pytest.approx(0.6)


def test_a_tiers_cost_is_its_latency_alone_and_its_cpu_under_load() -> None:
    """And unknown where it was not measured."""
    assert figures("fast").cost.median_ms_at_1 == 3
    assert figures("fast", ratio=1.0).cost.cpu_ms_at_16 == pytest.approx(0.6)
    assert figures("fast", in_flight=(4,)).cost.model_dump() == {"median_ms_at_1": None, "cpu_ms_at_16": None}


def test_every_tier_is_judged_at_16_in_flight() -> None:
    """At the limit it holds."""
    assert missed([figures("fast", ratio=0.9), figures("full", ratio=0.9)]) == []
    assert missed([figures("fast"), figures("full", ratio=0.89)]) == ["full: throughput at 16 in flight"]


def test_what_the_gateway_adds_is_judged_for_the_cheapest_tier() -> None:
    """A dearer one hides it in its own noise."""
    assert missed([figures("fast", added_ms=1.6), figures("full")]) == [
        "fast: added to bare Triton's median at 1 in flight"
    ]
    assert missed([figures("fast"), figures("full", added_ms=9)]) == []


def test_what_was_not_measured_is_not_judged() -> None:
    """Other numbers in flight have no limits, and too few photos no cascade."""
    assert verdicts_of([figures("fast", in_flight=(4, 32))], None) == ()
    assert missed([figures("fast")], cascade(seconds=4, photos=1)) == []


def test_the_cascade_must_be_twice_as_fast_as_its_strongest_tier() -> None:
    """Degraded answers do not count: they are faster because they are weaker."""
    assert missed([figures("fast")], cascade(seconds=2)) == []
    assert missed([figures("fast")], cascade(seconds=2.1)) == ["cascade: throughput"]
    assert missed([figures("fast")], cascade(seconds=2, degraded=10)) == ["cascade: throughput"]
    found = cascade(degraded=10)
    assert (found.degraded_share, found.exits) == (0.1, {"fast": 0.8, "full": 0.2})
    assert (found.cascade_cpu_ms, found.strongest_cpu_ms) == (10, 40)


async def test_gateway_and_triton_are_measured_in_turn() -> None:
    """As many pairs as asked for, with their CPU time."""
    halves = []

    async def send() -> None:
        time.sleep(0.001)  # noqa: ASYNC251 -- it stands for work

    row = await compare(
        send,
        send,
        CpuClock.of_stack(0),
        in_flight=1,
        pairs=2,
        seconds=0.05,
        on_half=lambda: halves.append(1),
    )
    assert len(halves) == 4
    assert row.gateway.per_second > 0
    assert set(row.gateway.cpu_ms) == set(CPU)


async def test_both_halves_of_a_pair_get_the_same_photos() -> None:
    """Each photo once, and the next pair the next photos."""
    sent: list[tuple[str, int]] = []

    def sends(side: str) -> list:
        async def send(photo: int) -> inspection_pb.InspectImageResponse:
            sent.append((side, photo))
            return inspection_pb.InspectImageResponse(trace=CascadeTrace(tier=side))

        return [lambda photo=photo: send(photo) for photo in range(4)]

    both = await compare_cascade(
        sends("fast"), sends("full"), CpuClock.of_stack(0), in_flight=1, pairs=2, on_half=lambda: None
    )
    assert sent == [
        ("fast", 0),
        ("fast", 1),
        ("full", 0),
        ("full", 1),
        ("full", 2),
        ("full", 3),
        ("fast", 2),
        ("fast", 3),
    ]
    assert [[each.tier for each in half.traces] for half in both[1]] == [["fast"] * 2, ["full"] * 2]


async def test_photos_are_sent_in_turn() -> None:
    """After the last comes the first."""

    async def of(number: int) -> int:
        return number

    send = in_turn([lambda: of(1), lambda: of(2)])
    assert [await send() for _ in range(5)] == [1, 2, 1, 2, 1]


def test_the_ceiling_is_measured_without_a_server(tmp_path: Path) -> None:
    """Decoding and engine, in this process."""
    engine = write_toy_engine(tmp_path / "model.onnx", TASK)
    assert measure_ceiling(engine, [toy_photo()], size_px=SIZE_PX, framing=Framing.CENTRE, threads=2, seconds=0.2) > 0


@pytest.mark.parametrize(("photos", "words"), [(1_000, "Every limit holds"), (1, "not judged on fewer than 100")])
def test_the_tables_say_what_matters(photos: int, words: str) -> None:
    """Each tier, the cascade, each limit beside what was measured, and the file."""
    tiers, of_cascade = (figures("fast"), figures("full")), cascade(photos=photos)
    report = BenchReport(
        release="bread/1",
        photos="some photos",
        machine_cores=2,
        tiers=tiers,
        cascade=of_cascade,
        verdicts=verdicts_of(tiers, of_cascade),
    )
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    show(console, report, path=Path("build/bench.json"))
    text = console.export_text()
    for each in ("bread/1", "some photos", "0.950 [0.950, 0.950]", "fast 80%, full 20%", "≥ 0.90 x", words):
        assert each in text
    assert BenchReport.model_validate_json(report.model_dump_json()) == report
