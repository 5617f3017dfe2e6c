"""Machined, cast, painted and woven surfaces under the lights of an inspection bench, sound or defective."""
