"""What is deployed fits what was built: names of metrics, settings, commands, files and ports."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import prediction
from measured import Measured

from server.cli.commands import app
from server.domain.errors import BackendUnavailableError
from server.settings import PREFIX, Settings

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
YAML_FILES = sorted(DEPLOY.rglob("*.yaml"))


def documents(path: Path) -> list[Any]:
    """Returns the documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def deployment() -> Any:
    """Returns the Kubernetes deployment."""
    [document] = documents(DEPLOY / "kustomize" / "base" / "deployment.yaml")
    return document


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_file_is_yaml(path: Path) -> None:
    """And none is empty."""
    assert all(documents(path))


def test_every_metric_in_a_rule_exists() -> None:
    """A rule on a name that nobody writes never fires."""
    measured = Measured()
    measured.engines.answers = {"fast": prediction(kind=0.5), "full": BackendUnavailableError("gone")}
    measured.metrics.answered(measured.inspect())
    known = {sample.name for sample in measured.scraped()}
    measured.metrics.stop()
    rules = (DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
    used = set(re.findall(r"\bloupe_[a-z_]+\b", rules))
    assert used
    assert used <= known


@pytest.mark.parametrize(
    "path", [p for p in DEPLOY.rglob("*") if p.is_file()], ids=lambda p: str(p.relative_to(DEPLOY))
)
def test_every_setting_exists(path: Path) -> None:
    """A misspelt setting would keep the gateway from starting."""
    names = set(re.findall(rf"\b{PREFIX}([A-Z_]+)\b", path.read_text(encoding="utf-8")))
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_every_copied_file_exists() -> None:
    """An image that cannot be built is noticed here."""
    for dockerfile in DEPLOY.rglob("Dockerfile"):
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE):
            assert all((DEPLOY.parent / source).exists() for source in sources.split())


def test_the_images_run_commands_that_exist() -> None:
    """`loupe serve` and `loupe health`."""
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert {"serve", "health"} <= commands


def test_kubernetes_gives_triton_the_arguments_of_its_image() -> None:
    """But for the address: inside of a pod it is loopback."""
    image = re.findall(r'"(--[^"]+)"', (DEPLOY / "triton" / "Dockerfile").read_text(encoding="utf-8"))
    triton = deployment()["spec"]["template"]["spec"]["containers"][1]
    assert set(image) ^ set(triton["args"]) == {"--grpc-address=0.0.0.0", "--grpc-address=127.0.0.1"}


def test_the_pod_lives_long_enough_to_drain() -> None:
    """The grace of the pod covers the pause before the drain, the drain, and Triton outlives the gateway."""
    pod = deployment()["spec"]["template"]["spec"]
    pauses = [int(each["lifecycle"]["preStop"]["exec"]["command"][1]) for each in pod["containers"]]
    drain_s = Settings.model_fields["drain_grace_s"].default
    assert pauses[0] + drain_s < pauses[1]
    assert pauses[1] + 20 < pod["terminationGracePeriodSeconds"]


def test_every_file_of_the_base_is_listed() -> None:
    """And every listed file is there."""
    base = DEPLOY / "kustomize" / "base"
    [listed] = documents(base / "kustomization.yaml")
    assert set(listed["resources"]) == {path.name for path in base.glob("*.yaml")} - {"kustomization.yaml"}
