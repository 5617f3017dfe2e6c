"""A network of tokens as it would serve: Swin-Tiny at its real size, timed on two threads.

For two cores, 50 ms a photo is what it is wanted to take; the table says what it takes here.
"""

import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from rich.console import Console
from rich.table import Table

from build_engines.compilers import COMPILERS
from build_engines.export import to_onnx
from build_engines.parity import Images, onnx_runner
from training.checkpoint import build_network, save_program
from training.model import ServedNetwork
from training.task_file import load_task_file

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

MOST_SIZE, MOST_TIME = 0.4, 0.85
"""Of INT8, as shares of float32's."""
MOST_HALVED = 0.6
ROUNDS, SPELLS = 40, 3


def exported(path: Path) -> int:
    """Writes the network as `loupe-build export` does, with weights as they are before training; returns its size."""
    task = load_task_file("surface_defect")
    section = task.tier("full").production.model_copy(update={"pretrained": False})
    network = build_network(section, task.to_domain()).eval()
    save_program(network, path.with_suffix(".pt2"))
    onnx.save(to_onnx(torch.export.load(path.with_suffix(".pt2")), ServedNetwork(network).output_names), path)
    return section.input_size_px


def photo_ms(engine: Path, images: Images) -> float:
    """Returns the median milliseconds of a photo on two threads.

    One session at a time: threads of another one that wait for work would take a core.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(engine), options, providers=["CPUExecutionProvider"])
    taken = []
    for place in range(ROUNDS):
        image = images[place % len(images)][np.newaxis]
        began = time.perf_counter()
        session.run(None, {"image": image})
        taken.append((time.perf_counter() - began) * 1e3)
    return float(np.median(taken[ROUNDS // 5 :]))


def test_swin_is_faster_in_int8(tmp_path: Path) -> None:
    """INT8 takes much less time than float32, and a photo's answer does not depend on its neighbours."""
    size_px = exported(tmp_path / "exported.onnx")
    images = np.random.default_rng(0).integers(0, 256, (8, size_px, size_px, 3), dtype=np.uint8)
    engines = {}
    for place, compiler in enumerate(COMPILERS["cpu"]):
        engines[compiler.precision] = tmp_path / f"{place}.onnx"
        compiler.compile(tmp_path / "exported.onnx", engines[compiler.precision], images)
    spells = [{name: photo_ms(path, images) for name, path in engines.items()} for _ in range(SPELLS)]
    taken = {name: float(np.median([each[name] for each in spells])) for name in engines}
    table = Table("precision", "a photo", "of fp32", "file", title=f"Swin-Tiny at {size_px} px, two threads")
    for name, path in engines.items():
        size = f"{path.stat().st_size / 1e6:.0f} MB"
        table.add_row(name, f"{taken[name]:.1f} ms", f"{taken[name] / taken['fp32']:.2f}", size)
    Console(width=100).print(table)
    run = onnx_runner(engines["int8"])
    together, alone = run(images[:3]), run(images[:1])
    for name, answers in together.items():
        np.testing.assert_allclose(answers[:1], alone[name], rtol=1e-3, atol=1e-3, err_msg=name)
    sizes = {name: path.stat().st_size for name, path in engines.items()}
    assert sizes["int8"] < MOST_SIZE * sizes["fp32"], "its products with weights are not rounded"
    assert sizes["fp32, weights fp16"] < MOST_HALVED * sizes["fp32"], "its weights are not halved"
    assert taken["int8"] < MOST_TIME * taken["fp32"]
