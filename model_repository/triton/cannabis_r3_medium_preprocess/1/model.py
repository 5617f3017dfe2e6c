"""Hands this model to `server.triton.models.preprocess`; written by `server.triton.repository`."""

from server.triton.models.preprocess import TritonPythonModel

__all__ = ["TritonPythonModel"]
