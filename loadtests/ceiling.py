"""The ceiling: decoding and the model in one process, with no server between them."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime

from server.imaging import Framing, prepare
from server.triton.tier_models import IMAGE

_WARM_UP_S = 0.5


def measure_ceiling(
    engine: Path, photos: Sequence[bytes], *, size_px: int, framing: Framing, threads: int, seconds: float
) -> float:
    """Returns how many photos a second this process decodes and runs through a tier's engine.

    Each thread has a session of its own with one thread and no spinning, as an instance of the embedded
    Triton has; decoding and running both leave Python's lock.

    Args:
        engine: The ONNX file.
        photos: Encoded; taken in turn.
        size_px: The side of the engine's square input.
        framing: How a photo becomes a square.
        threads: How many photos are worked on at once.
        seconds: How long it is measured, after a warm-up.
    """
    sessions = [_open_session(engine) for _ in range(threads)]

    def run(session: onnxruntime.InferenceSession, until_s: float) -> int:
        done = 0
        while time.perf_counter() < until_s:
            image = prepare(photos[done % len(photos)], size_px=size_px, framing=framing)
            session.run(None, {IMAGE: image[np.newaxis]})
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        warm_until_s = time.perf_counter() + _WARM_UP_S
        list(pool.map(lambda session: run(session, warm_until_s), sessions))
        began_s = time.perf_counter()
        done = sum(pool.map(lambda session: run(session, began_s + seconds), sessions))
        return done / (time.perf_counter() - began_s)


def _open_session(engine: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(engine, options, providers=["CPUExecutionProvider"])
