"""The Locust user against a whole gateway with a real Triton: a few seconds of the demo mix."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_process import serving
from toy_engine import toy_photo
from toy_release import write_toy_release

pytestmark = pytest.mark.integration

GENEROUS = {
    "p95_ms = 200": "p95_ms = 20000",
    "degraded_share_without_deadline = 0.01": "degraded_share_without_deadline = 1",
}


def test_the_mix_is_sent_and_judged(tmp_path: Path, repository_root: Path) -> None:
    """Every request comes back, in a report whose limits decide the exit code; the same plan with a limit that
    nothing keeps exits with 1.
    """
    write_toy_release(tmp_path / "models", "fast", "medium", "full", threshold=0.6)
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(20):
        (photos / f"{seed}.jpg").write_bytes(toy_photo(seed=seed))
    text = (repository_root / "loadtests" / "slo.toml").read_text()
    for before, after in GENEROUS.items():
        assert before in text
        text = text.replace(before, after)
    plan, impossible = tmp_path / "plan.toml", tmp_path / "impossible.toml"
    plan.write_text(text)
    impossible.write_text(text.replace("p95_ms = 20000", "p95_ms = 0.001"))
    run_root = tmp_path / "run"
    run_root.mkdir()
    with serving(tmp_path / "models", run_root) as gateway:

        def load(plan: Path) -> tuple["subprocess.CompletedProcess[str]", dict]:
            output = tmp_path / "load.json"
            options = ["--plan", plan, "--photos", photos, "--task", "bread", "--address", gateway.address]
            command = [sys.executable, "-m", "loadtests.load", "--rate", "20", "--seconds", "3", "--output", output]
            result = subprocess.run(
                [*map(str, command), *map(str, options)],
                cwd=repository_root,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert output.is_file(), result.stdout + result.stderr
            return result, json.loads(output.read_text())

        result, report = load(plan)
        assert result.returncode == 0, result.stdout
        assert (report["release"], report["tiers"]) == ("bread/1", ["fast", "medium", "full"])
        assert report["sent"] == report["planned"] == 60
        assert report["answered"] + report["refused_rightly"] == 60
        assert sum(each["count"] for each in report["exits"]) == report["answered"]
        assert "Every limit holds." in result.stdout
        result, report = load(impossible)
        assert result.returncode == 1
        assert "Missed: p95 of answers." in result.stdout
