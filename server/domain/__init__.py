"""The pure core of Loupe: standard library and numpy only; no I/O, no asyncio, no logging.

Every type is a frozen, slotted dataclass; every function is deterministic. Whatever
touches the world reaches this package through the protocols in `ports`.
"""
