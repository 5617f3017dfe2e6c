"""Building: from a checkpoint to a published release, step by step. It meets training only in files on disk.

Each step takes a frozen artefact and returns one, and writes a JSON beside it: what went in,
by SHA-256, with which versions, and the command that does it again.
"""
