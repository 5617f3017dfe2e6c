"""Writes a tier's three models the way Triton reads them: `<model>/config.pbtxt` and `<model>/1/`.

The same specification gives the committed layout for NVIDIA's container and the private
one of the embedded server. A model's directory is replaced whole, never mended.
"""

import shutil
from pathlib import Path

from server.triton.model_config import engine_config, ensemble_config, preprocess_config
from server.triton.tier_models import Target, TierModelSpec

__all__ = ["Target", "TierModelSpec", "remove_tier_models", "write_tier_models"]

_SHIM = '''\
"""Hands this model to `{module}`; written by `server.triton.repository`."""

from {module} import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


def write_tier_models(spec: TierModelSpec, repository: Path, *, target: Target, instance_count: int = 2) -> None:
    """Writes the ensemble of a tier and both of its steps, replacing what was there.

    Args:
        spec: The tier.
        repository: The directory that Triton is pointed at; made if it does not exist.
        target: Which Triton will serve it.
        instance_count: Instances of each step.
    """
    preprocess = {
        "config.pbtxt": preprocess_config(spec, instance_count=instance_count),
        "1/model.py": _SHIM.format(module="server.triton.models.preprocess"),
    }
    engine = {"config.pbtxt": engine_config(spec, target=target, instance_count=instance_count)}
    if target is Target.EMBEDDED:
        engine["1/model.py"] = _SHIM.format(module="server.triton.models.engine")
    # Git keeps no empty directory, and Triton needs the ensemble's version directory.
    ensemble = {"config.pbtxt": ensemble_config(spec), "1/.gitkeep": ""}

    _write_model(repository / spec.preprocess_model, preprocess)
    _write_model(
        repository / spec.engine_model, engine, engine_path=spec.engine_path if target is Target.CONTAINER else None
    )
    _write_model(repository / spec.model, ensemble)


def remove_tier_models(spec: TierModelSpec, repository: Path) -> None:
    """Removes what `write_tier_models` wrote; a model that is not there is no error."""
    for model in (spec.model, *spec.steps):
        shutil.rmtree(repository / model, ignore_errors=True)


def _write_model(directory: Path, texts: dict[str, str], *, engine_path: Path | None = None) -> None:
    """Writes a model's directory aside, then puts it in place."""
    aside = directory.with_name(f".{directory.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "1").mkdir(parents=True)
    for name, text in texts.items():
        (aside / name).write_text(text, encoding="utf-8")
    if engine_path is not None:
        shutil.copyfile(engine_path, aside / "1" / "model.onnx")
    if directory.exists():
        shutil.rmtree(directory)
    aside.rename(directory)
