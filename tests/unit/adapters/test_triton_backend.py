"""Triton as the gateway's backend: what it is not asked."""

from pathlib import Path

import pytest
from builders import make_tier
from fakes import FakeEngines

from server.adapters.triton_backend import TritonBackend
from server.domain.errors import BackendUnavailableError
from server.domain.prediction import Wanted
from server.triton.backend_state import StateFeed

ENGINE = make_tier().engine


async def test_a_tier_that_gave_wrong_answers_is_not_asked(tmp_path: Path) -> None:
    """Its callers get the weaker answer, or an error that says to come back, and never its numbers."""
    backend = TritonBackend(model_repository=tmp_path, run_root=tmp_path, instance_count=1, batch_size=1)
    feed, engines = StateFeed(), FakeEngines()
    backend._supervisor, backend._engines = feed, engines  # type: ignore[assignment]
    await backend.infer(ENGINE, b"photo", Wanted(("kind",)), timeout_s=1.0)
    feed.judge(ENGINE.model, is_right=False)
    with pytest.raises(BackendUnavailableError, match="wrong known answers"):
        await backend.infer(ENGINE, b"photo", Wanted(("kind",)), timeout_s=1.0)
    feed.judge(ENGINE.model, is_right=True)
    await backend.infer(ENGINE, b"photo", Wanted(("kind",)), timeout_s=1.0)
