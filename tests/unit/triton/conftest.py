"""Lets the models that run inside Triton be imported outside of it."""

import sys

import fake_triton_backend

sys.modules.setdefault("triton_python_backend_utils", fake_triton_backend)
