"""The canary: a known photo through a tier that serves, again and again. It notices what no process's end tells."""

from server.domain.errors import DeadlineExpiredError, LoupeError
from server.triton.client import TritonClient
from server.triton.known_answer import ServedTier, check_ensemble
from server.triton.troubles import AnswersWrong, Silent

_SHARE = 0.05
"""Canaries take at most this share of the time, unless that would make them too rare."""

_LONGEST_PAUSE_S = 15.0


def pause_s(*, shortest_s: float, took_s: float) -> float:
    """Returns how long to wait before the next round.

    Args:
        shortest_s: The least that is wanted.
        took_s: How long the last round took.
    """
    return max(shortest_s, min(took_s / _SHARE, _LONGEST_PAUSE_S))


async def examine(
    client: TritonClient, tier: ServedTier, *, timeout_s: float, concurrency: int
) -> AnswersWrong | Silent | None:
    """Sends a tier its known photo; a second time if the answer is late, because a busy server may be.

    Args:
        client: Speaks to the Triton that serves the tier.
        tier: The tier and its known answer.
        timeout_s: The time allowed for each answer.
        concurrency: How many equal calls are sent at once, so that every instance is met.

    Returns:
        What is wrong, or None.
    """
    model = tier.spec.model
    for is_last in (False, True):
        try:
            findings = await check_ensemble(client, tier, timeout_s=timeout_s, concurrency=concurrency)
        except LoupeError as error:
            if is_last or not isinstance(error, DeadlineExpiredError):
                return Silent(model, str(error))
        else:
            return AnswersWrong(model, findings) if findings else None
    return None
