"""The engine step on the embedded server: pixels in, one output a head out, through onnxruntime.

NVIDIA's container runs the same ONNX file in Triton's own backend instead. One thread an
instance, without spinning: instances share the cores. For the same reason an instance gets ready
behind those that answer: one that is started again must not cost the others their time.
"""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

from server.triton.tier_models import IMAGE

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_START_NICENESS = 5
"""About a third of the weight of a process that answers: on a busy machine it still gets ready within seconds."""


class TritonPythonModel:
    """Runs one ONNX engine, one response a request."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Opens the engine and runs it once, so that the first request finds it warm.

        Args:
            args: Triton's description of this instance; `model_config` is JSON.
        """
        parameters = json.loads(args["model_config"])["parameters"]
        self._output_names = parameters["output_names"]["string_value"].split(",")
        with ThreadPoolExecutor(1, initializer=_stand_back) as behind:
            self._session = behind.submit(self._warm_session, parameters["engine_path"]["string_value"]).result()

    def _warm_session(self, engine_path: str) -> "InferenceSession":
        session = open_session(engine_path)
        _, *item_shape = session.get_inputs()[0].shape
        session.run(self._output_names, {IMAGE: np.zeros((1, *item_shape), np.uint8)})
        return session

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers each request on its own."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            images = pb_utils.get_input_tensor_by_name(request, IMAGE).as_numpy()
            outputs = self._session.run(self._output_names, {IMAGE: images})
            wanted = request.requested_output_names()
            return pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(name, output)
                    for name, output in zip(self._output_names, outputs, strict=True)
                    if name in wanted
                ]
            )
        except Exception as error:  # noqa: BLE001 -- raising here leaks shared memory; the request carries it
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"the engine failed: {error}"))


def open_session(engine_path: str) -> "InferenceSession":
    """Opens an ONNX file on the CPU, with one thread."""
    import onnxruntime  # noqa: PLC0415 -- half of the work of getting ready

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(engine_path, options, providers=["CPUExecutionProvider"])


def _stand_back() -> None:
    """Lowers the priority of the thread that calls it, and of no other: on Linux each has its own."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _START_NICENESS)
