"""Load, speed and their limits: clients of the gateway, and of the bare Triton below it."""
