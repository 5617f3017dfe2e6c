"""What training makes of the machine that it finds."""

import pytest
import torch
from small_dataset import small_task

from training.devices import mixes_precision


@pytest.mark.parametrize(
    ("asked", "has_gpu", "has_amx", "expected"),
    [
        (True, False, True, True),
        (True, True, False, True),
        (True, False, False, False),
        (False, True, True, False),
    ],
)
def test_precision_is_mixed_where_it_saves_time(
    monkeypatch: pytest.MonkeyPatch, *, asked: bool, has_gpu: bool, has_amx: bool, expected: bool
) -> None:
    """On a GPU, and on a CPU that multiplies bfloat16 itself; never unasked."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_amx})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    recipe = small_task().training.model_copy(update={"mixed_precision": asked})
    assert mixes_precision(recipe) is expected


def test_a_machine_of_another_kind_says_nothing_of_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it has none."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not mixes_precision(small_task().training.model_copy(update={"mixed_precision": True}))
