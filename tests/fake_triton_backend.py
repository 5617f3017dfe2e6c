"""Stands in for `triton_python_backend_utils`, which exists only inside Triton's stub processes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Tensor:
    """A named array."""

    name: str
    values: npt.NDArray[np.generic]

    def as_numpy(self) -> npt.NDArray[np.generic]:
        """Returns the array."""
        return self.values


@dataclass(frozen=True)
class TritonError:
    """An error text that belongs to one request."""

    text: str

    def message(self) -> str:
        """Returns the text."""
        return self.text


@dataclass(frozen=True)
class InferenceResponse:
    """Outputs, or an error."""

    output_tensors: Sequence[Tensor] = ()
    error: TritonError | None = None


@dataclass(frozen=True)
class InferenceRequest:
    """Inputs, and the names of the outputs that are wanted."""

    inputs: Sequence[Tensor]
    outputs: Sequence[str] = field(default=())

    def requested_output_names(self) -> list[str]:
        """Returns the wanted outputs."""
        return list(self.outputs)


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    """Returns one input, or None if there is none of this name."""
    return next((tensor for tensor in request.inputs if tensor.name == name), None)
