"""Known answers: what a tier must say about one photo and one pattern, computed by the build and checked here.

Each step is checked by itself, so that a finding names the step at fault. Tensors that Triton's
stub misreads, another decoder, a damaged engine and a stub that answers garbage are all caught here.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from server.domain.known_answer import KnownAnswer
from server.triton.client import TritonClient
from server.triton.tier_models import DECODED, IMAGE, TierModelSpec
from server.triton.wire import Array

BLOCKS = 8
"""The preprocessed photo is compared by the means of BLOCKS x BLOCKS x 3 blocks."""


@dataclass(frozen=True, slots=True)
class ServedTier:
    """A tier and the proof that it is served right.

    Attributes:
        spec: The tier's models.
        known_answer: What they must answer.
        photo: The encoded bytes of the known answer's photo.
    """

    spec: TierModelSpec
    known_answer: KnownAnswer
    photo: bytes


async def compute_known_answer(
    client: TritonClient, spec: TierModelSpec, *, photo: bytes, photo_path: str, timeout_s: float = 60.0
) -> KnownAnswer:
    """Asks a tier that is loaded, and known to be right, for its answers.

    Args:
        client: Speaks to the Triton that has the tier.
        spec: The tier.
        photo: The encoded bytes of the release's photo.
        photo_path: Where that photo lies, relative to the model repository's root.
        timeout_s: The time allowed for each call.

    Raises:
        LoupeError: A model does not answer.
    """
    decoded = await client.send_photo(spec.preprocess_model, photo, outputs=[IMAGE], timeout_s=timeout_s)
    pattern = pattern_of(spec.input_size_px)[np.newaxis]
    pattern_outputs = await client.send_tensor(spec.engine_model, IMAGE, pattern, timeout_s=timeout_s)
    photo_outputs = await _ask_ensemble(client, spec, photo, timeout_s)
    return KnownAnswer(
        photo_path=photo_path,
        photo_sha256=sha256(photo).hexdigest(),
        block_means=tuple(block_means(decoded[IMAGE][0]).ravel().tolist()),
        pattern_outputs=_flattened(pattern_outputs),
        photo_outputs=_flattened(photo_outputs),
    )


async def check_tier(
    client: TritonClient, tier: ServedTier, *, timeout_s: float, concurrency: int = 2
) -> tuple[str, ...]:
    """Compares every step of a tier, and the whole, with its known answer.

    Args:
        client: Speaks to the Triton that has the tier.
        tier: The tier and its known answer.
        timeout_s: The time allowed for each call.
        concurrency: How many equal calls are sent at once, so that every instance is met.

    Returns:
        All differences, each as a sentence that names the model; empty if the tier is right.

    Raises:
        LoupeError: A model does not answer.
    """
    spec, known = tier.spec, tier.known_answer
    if sha256(tier.photo).hexdigest() != known.photo_sha256:
        return (f"{spec.model}: the known answer's photo {known.photo_path} has another content",)
    pattern = pattern_of(spec.input_size_px)[np.newaxis]
    findings: list[str] = []
    for outputs in await _repeat(
        concurrency,
        lambda: client.send_photo(spec.preprocess_model, tier.photo, outputs=[IMAGE], timeout_s=timeout_s),
    ):
        findings += block_findings(spec.preprocess_model, outputs[IMAGE][0], known)
    for outputs in await _repeat(
        concurrency, lambda: client.send_tensor(spec.engine_model, IMAGE, pattern, timeout_s=timeout_s)
    ):
        findings += output_findings(spec.engine_model, outputs, known.pattern_outputs, known.output_tolerance)
    findings += await check_ensemble(client, tier, timeout_s=timeout_s, concurrency=concurrency)
    return tuple(dict.fromkeys(findings))


async def check_ensemble(
    client: TritonClient, tier: ServedTier, *, timeout_s: float, concurrency: int = 2
) -> tuple[str, ...]:
    """Compares only the whole tier with its known answer; the cheap check that is repeated while serving.

    Arguments, result and errors are those of `check_tier`.
    """
    spec, known = tier.spec, tier.known_answer
    findings: list[str] = []
    for outputs in await _repeat(concurrency, lambda: _ask_ensemble(client, spec, tier.photo, timeout_s)):
        findings += output_findings(spec.model, outputs, known.photo_outputs, known.output_tolerance)
    return tuple(dict.fromkeys(findings))


async def _ask_ensemble(client: TritonClient, spec: TierModelSpec, photo: bytes, timeout_s: float) -> dict[str, Array]:
    """Returns what the engine says about a photo, asked for as the gateway does that wants no pixels."""
    names = [*spec.output_shapes, *([DECODED] if spec.gives_pixels else [])]
    outputs = await client.send_photo(spec.model, photo, outputs=names, timeout_s=timeout_s)
    outputs.pop(DECODED, None)
    return outputs


def pattern_of(size_px: int) -> npt.NDArray[np.uint8]:
    """Returns the deterministic test image: `[size_px, size_px, 3]` uint8, ramps in every axis with fine texture."""
    row, column, channel = np.ogrid[:size_px, :size_px, :3]
    ramp = (row * 160 + column * 80 * (1 + channel)) // size_px
    texture = (row * 7 + column * 13 + channel * 29) % 31
    pattern: npt.NDArray[np.uint8] = ((ramp + texture) % 256).astype(np.uint8)
    return pattern


def block_means(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Returns the means of `BLOCKS` x `BLOCKS` blocks of an image.

    Args:
        image: `[size, size, 3]` uint8, size at least `BLOCKS`.

    Returns:
        `[BLOCKS, BLOCKS, 3]` float64 in [0, 255].
    """
    edges = np.linspace(0, image.shape[0], BLOCKS + 1).astype(np.intp)
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.float64), edges[:-1], axis=0), edges[:-1], axis=1)
    heights = np.diff(edges).astype(np.float64)
    means: npt.NDArray[np.float64] = sums / (heights[:, np.newaxis, np.newaxis] * heights[np.newaxis, :, np.newaxis])
    return means


def block_findings(model: str, image: npt.NDArray[np.generic], known: KnownAnswer) -> list[str]:
    """Compares a preprocessed photo with the known block means.

    Args:
        model: What the finding names.
        image: `[size, size, 3]` uint8.
        known: The expectation.
    """
    difference = float(np.abs(block_means(image).ravel() - np.asarray(known.block_means)).max())
    if difference <= known.block_tolerance:
        return []
    return [f"{model}: the preprocessed photo is off by {difference:.1f} levels (allowed {known.block_tolerance})"]


def output_findings(
    model: str, outputs: Mapping[str, Array], expected: Mapping[str, tuple[float, ...]], tolerance: float
) -> list[str]:
    """Compares outputs with the known ones.

    Args:
        model: What the findings name.
        outputs: By name, `[1, ...]` float32.
        expected: By name, the expected values, flattened.
        tolerance: The largest difference allowed, absolute plus relative to the expected value.
    """
    if outputs.keys() != expected.keys():
        return [f"{model}: it has the outputs {sorted(outputs)} and not {sorted(expected)}"]
    findings = []
    for name, values in expected.items():
        got, want = outputs[name].ravel(), np.asarray(values)
        if got.shape != want.shape:
            findings.append(f"{model}: output {name} has {got.size} values and not {want.size}")
        elif not bool((excess := np.abs(got - want) - tolerance * np.abs(want)).max() <= tolerance):
            findings.append(f"{model}: output {name} is off by up to {float(excess.max()):.3g} (allowed {tolerance})")
    return findings


def _flattened(outputs: Mapping[str, Array]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values.ravel().tolist()) for name, values in outputs.items()}


async def _repeat(
    count: int, call: Callable[[], Coroutine[None, None, Mapping[str, Array]]]
) -> list[Mapping[str, Array]]:
    """Makes equal calls at once; if one fails, none is left behind."""
    tasks = [asyncio.create_task(call()) for _ in range(count)]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
