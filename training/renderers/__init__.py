"""Deterministic renderers: latents in, photo-like JPEG bytes out.

A renderer sees latents only, never the labels that are drawn from them.
"""
