"""What is served is read from the gateway's own words, and from the release."""

import json
from pathlib import Path

from toy_release import write_toy_release

from loadtests.served import ServedTask, ServedTier, read_engines
from loupe.v1 import task_service_pb2 as task_pb
from server.imaging import Framing


def test_a_task_is_read_from_the_gateways_answer() -> None:
    """With any number of tiers, in their order."""
    message = task_pb.Task(
        name="tasks/bread",
        active_release="tasks/bread/releases/12",
        heads=[task_pb.Head(id="kind"), task_pb.Head(id="grade")],
        tiers=[task_pb.Tier(id=each, precision="fp32", input_size_px=64) for each in ("fast", "medium", "full")],
    )
    task = ServedTask.of(message)
    assert task.release_name == "bread/12"
    assert task.heads == ("kind", "grade")
    assert [each.id for each in task.tiers] == ["fast", "medium", "full"]
    assert task.strongest == ServedTier("full", "fp32", 64)


def test_engines_are_read_from_the_release(tmp_path: Path) -> None:
    """One a tier, and each is there."""
    write_toy_release(tmp_path, "fast", "medium", "full", number=3)
    task = ServedTask("bread", 3, ("kind",), ())
    engines = read_engines(task, tmp_path)
    assert {tier: each.model for tier, each in engines.items()} == {
        tier: f"bread_r3_{tier}" for tier in ("fast", "medium", "full")
    }
    assert all(each.path.is_file() for each in engines.values())
    assert {each.framing for each in engines.values()} == {Framing.CENTRE}


def test_the_ceiling_is_measured_on_what_is_served(tmp_path: Path) -> None:
    """An engine of whole photos is said to be one."""
    write_toy_release(tmp_path, "fast", number=3)
    task = ServedTask("bread", 3, ("kind",), ())
    path = task.folder(tmp_path) / "release.json"
    told = json.loads(path.read_text("utf-8"))
    told["tiers"][0]["engine"]["framing"] = "whole"
    path.write_text(json.dumps(told), encoding="utf-8")
    assert read_engines(task, tmp_path)["fast"].framing is Framing.WHOLE
