"""Triton as a part: writes its repository, runs and watches the embedded server, and speaks to it.

The only package, besides the Open Inference facade, that imports tritonclient. This file
imports nothing, because Triton's own stub processes import `server.triton.models` through it.
"""
