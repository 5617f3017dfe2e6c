"""What runs inside Triton's stub processes: one module a step, each with its `TritonPythonModel`.

Nothing here raises in `execute`: Triton leaks shared memory when it does. An error belongs
to its request, so a bad photo never hurts its neighbours.
"""
