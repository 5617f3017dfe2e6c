"""The models that run inside Triton, met outside of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import TASK
from fake_triton_backend import InferenceRequest, InferenceResponse, Tensor
from toy_engine import SIZE_PX, toy_photo, write_toy_engine

from server.domain.errors import PhotoRefusedError
from server.domain.framing import Framing
from server.imaging import prepare
from server.triton.models import engine, preprocess
from server.triton.refusal import refusal_in


def arguments(**parameters: str) -> dict[str, str]:
    """Returns what Triton passes to `initialize`."""
    told = {k: {"string_value": v} for k, v in parameters.items()}
    return {"model_config": json.dumps({"parameters": told, "output": [{"name": "image"}, {"name": "decoded"}]})}


@pytest.fixture
def preprocessing(monkeypatch: pytest.MonkeyPatch) -> preprocess.TritonPythonModel:
    """The preprocessing step, without limits on the test's own process."""
    monkeypatch.setattr(preprocess, "limit_memory", lambda _: None)
    model = preprocess.TritonPythonModel()
    model.initialize(arguments(input_size_px=str(SIZE_PX), memory_limit_bytes="1"))
    return model


def photos(*contents: bytes) -> InferenceRequest:
    """Returns a request with a batch of encoded photos."""
    return InferenceRequest([Tensor("photo", np.array([[each] for each in contents], dtype=object))])


def refusal_of(response: InferenceResponse) -> PhotoRefusedError | None:
    """Returns the refusal that a response carries."""
    return refusal_in(response.error.message()) if response.error else None


def test_preprocessing_answers_what_imaging_says(preprocessing: preprocess.TritonPythonModel) -> None:
    """A batch of photos becomes a batch of the very pixels that training saw."""
    contents = toy_photo(seed=1), toy_photo(200, 300, seed=2)
    (response,) = preprocessing.execute([photos(*contents)])
    expected = np.stack([prepare(each, size_px=SIZE_PX) for each in contents])
    np.testing.assert_array_equal(response.output_tensors[0].as_numpy(), expected)


def test_preprocessing_frames_photos_as_the_release_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tier that was trained on whole photos is served whole ones."""
    monkeypatch.setattr(preprocess, "limit_memory", lambda _: None)
    model = preprocess.TritonPythonModel()
    model.initialize(arguments(input_size_px=str(SIZE_PX), memory_limit_bytes="1", framing="whole"))
    long = toy_photo(200, 300, seed=2)
    (response,) = model.execute([photos(long)])
    expected = prepare(long, size_px=SIZE_PX, framing=Framing.WHOLE)
    np.testing.assert_array_equal(response.output_tensors[0].as_numpy()[0], expected)
    assert not np.array_equal(expected, prepare(long, size_px=SIZE_PX))


def test_a_bad_photo_hurts_no_neighbour(preprocessing: preprocess.TritonPythonModel) -> None:
    """Each request of one execution is answered on its own."""
    good, bad, also_good = preprocessing.execute([photos(toy_photo()), photos(toy_photo()[:500]), photos(toy_photo())])
    assert good.error is None
    assert also_good.error is None
    refusal = refusal_of(bad)
    assert refusal is not None
    assert refusal.code == "UNDECODABLE"


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (MemoryError("2 GiB at 0x7f"), "LOUPE_PHOTO_REFUSED:UNDECODABLE"),
        (ValueError("heap address 0x7f"), "preprocessing failed: ValueError"),
    ],
)
def test_a_decoder_s_own_words_stay_inside(
    preprocessing: preprocess.TritonPythonModel, monkeypatch: pytest.MonkeyPatch, failure: Exception, text: str
) -> None:
    """Whatever is raised becomes the request's error, without its message."""

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(preprocess, "prepare", fail)
    (response,) = preprocessing.execute([photos(b"x")])
    assert response.error.message() == text


@pytest.fixture
def engine_step(tmp_path: Path) -> engine.TritonPythonModel:
    """The engine step of the toy engine."""
    path = write_toy_engine(tmp_path / "toy.onnx", TASK)
    model = engine.TritonPythonModel()
    model.initialize(arguments(engine_path=str(path), output_names="kind,grade,signs,uncertainty,attention_map"))
    return model


def test_the_engine_returns_what_is_wanted(engine_step: engine.TritonPythonModel) -> None:
    """Outputs that nobody asked for are not copied."""
    images = Tensor("image", np.zeros((2, SIZE_PX, SIZE_PX, 3), np.uint8))
    (response,) = engine_step.execute([InferenceRequest([images], ["kind", "uncertainty"])])
    assert [(each.name, each.as_numpy().shape) for each in response.output_tensors] == [
        ("kind", (2, 3)),
        ("uncertainty", (2, 2)),
    ]


def test_a_failing_engine_hurts_no_neighbour(engine_step: engine.TritonPythonModel) -> None:
    """A tensor that the engine cannot take is its request's error."""
    bad = InferenceRequest([Tensor("image", np.zeros((1, 2, 2, 3), np.float64))], ["kind"])
    good = InferenceRequest([Tensor("image", np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8))], ["kind"])
    failed, answered = engine_step.execute([bad, good])
    assert failed.error is not None
    assert answered.error is None
