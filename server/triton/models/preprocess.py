"""The preprocessing step: the encoded photo in, pixels out. Also the sandbox in which photos are decoded.

Runs in a process of its own with a limited address space. A refusal travels as an error of
its request that holds nothing but `PHOTO_REFUSED` and a code; a decoder's own words stay here.
"""

import json
import resource
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from server.domain.errors import PhotoRefusedError
from server.domain.framing import Framing
from server.imaging import prepare
from server.triton.refusal import refusal_text
from server.triton.tier_models import DECODED, IMAGE, PHOTO


class TritonPythonModel:
    """Decodes and orients photos, and makes squares of them, one response a request."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Reads size and framing, and limits the memory of this process.

        Args:
            args: Triton's description of this instance; `model_config` is JSON.
        """
        config = json.loads(args["model_config"])
        parameters = config["parameters"]
        self._output_names = [each["name"] for each in config["output"]]
        self._size_px = int(parameters["input_size_px"]["string_value"])
        framing = parameters.get("framing")
        self._framing = Framing.CENTRE if framing is None else Framing(framing["string_value"])
        limit_memory(int(parameters["memory_limit_bytes"]["string_value"]))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers each request on its own."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            photos = pb_utils.get_input_tensor_by_name(request, PHOTO).as_numpy()
            images = np.stack([self._prepare(photo) for photo in photos.ravel()])
            outputs = {IMAGE: images, DECODED: np.ones((len(images), 1), np.uint8)}
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, outputs[name]) for name in self._output_names])
        except PhotoRefusedError as error:
            return _error(refusal_text(error.code))
        except MemoryError:
            return _error(refusal_text("UNDECODABLE"))
        except Exception as error:  # noqa: BLE001 -- raising here leaks shared memory; the request carries it
            return _error(f"preprocessing failed: {type(error).__name__}")

    def _prepare(self, photo: bytes) -> npt.NDArray[np.uint8]:
        return prepare(photo, size_px=self._size_px, framing=self._framing)


def limit_memory(limit_bytes: int) -> None:
    """Limits the address space of this process, and forbids core dumps (they would hold photos)."""
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _error(text: str) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text))
