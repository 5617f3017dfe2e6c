"""From the contract to the service: checks the form of requests, and reports every broken rule at once.

Whether a task, head or tier exists is not a matter of form; the service says so.
"""

import math
import re
import uuid
from collections.abc import Container, Iterator, Sequence
from typing import Final

from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import task_service_pb2 as task_pb
from server.domain.cascade import OWN_PATH, CascadePolicy
from server.domain.errors import InvalidRequestError, PhotoRefusedError, Violation
from server.imaging import read_header
from server.service.inspection import InspectionRequest

MAX_ALTERNATIVES: Final = 100
MAX_HEADS: Final = 64
MAX_ID_LENGTH: Final = 63
MAX_TEXT_LENGTH: Final = 128
MAX_CORRELATION_ID_LENGTH: Final = 64
MAX_ANNOTATIONS: Final = 16
MAX_ANNOTATION_KEY_LENGTH: Final = 64
MAX_ANNOTATION_VALUE_LENGTH: Final = 256
MAX_PAGE_SIZE: Final = 1000
DEFAULT_PAGE_SIZE: Final = 100

_TASK = re.compile(r"tasks/([a-z][a-z0-9_]{0,62})")
_RELEASE = re.compile(r"tasks/([a-z][a-z0-9_]{0,62})/releases/[1-9][0-9]{0,8}")
_MAX_NANOS = 999_999_999
# 0001-01-01 and 9999-12-31, the range of google.protobuf.Timestamp.
_TIMESTAMP_SECONDS = (-62_135_596_800, 253_402_300_799)


def inspection_request(message: inspection_pb.InspectImageRequest, *, in_stream: bool = False) -> InspectionRequest:
    """Returns the request that a message states, be it a call of its own or one of a stream's.

    Raises:
        PhotoRefusedError: The photo is the only thing that is wrong.
        InvalidRequestError: At least one rule is broken; carries every violation.
    """
    photo = message.image.content  # each access copies the bytes
    refusal = _refusal_of(photo)
    violations = list(_violations(message))
    if refusal is not None:
        raise refusal if not violations else InvalidRequestError(*refusal.violations, *violations)
    if violations:
        raise InvalidRequestError(*violations)
    return InspectionRequest(
        task=message.task.removeprefix("tasks/"),
        photo=photo,
        heads=tuple(message.heads),
        policy=_policy(message.policy) if message.HasField("policy") else OWN_PATH,
        device_tier=message.device_prediction.tier if message.HasField("device_prediction") else None,
        include_attention=message.include_attention_map,
        in_stream=in_stream,
    )


def photo_of_stream(
    message: inspection_pb.StreamInspectImagesRequest, under_way: Container[str]
) -> tuple[inspection_pb.InspectImageRequest, float | None]:
    """Returns the request in a stream's message, and the seconds that it allows, or None if it does not say.

    Args:
        message: One message of a stream.
        under_way: The correlation ids of the stream's photos that have not been answered yet.

    Raises:
        InvalidRequestError: Id or time is malformed; carries every violation.
    """
    violations = []
    if not 1 <= len(message.correlation_id) <= MAX_CORRELATION_ID_LENGTH:
        violations.append(Violation("correlation_id", f"must have 1 to {MAX_CORRELATION_ID_LENGTH} characters"))
    elif message.correlation_id in under_way:
        violations.append(Violation("correlation_id", "belongs to a photo of this stream that has no answer yet"))
    timeout_s = message.timeout.seconds + message.timeout.nanos / 1e9 if message.HasField("timeout") else None
    if timeout_s is not None and timeout_s <= 0:
        violations.append(Violation("timeout", "must be above 0 seconds, or unset"))
    if violations:
        raise InvalidRequestError(*violations)
    return message.inspect_image, timeout_s


def task_id(name: str, *, field: str = "task") -> str:
    """Returns the id in a task's resource name.

    Raises:
        InvalidRequestError: The name is not of the form `tasks/{task}`.
    """
    violations = list(_task_violations(name, field))
    if violations:
        raise InvalidRequestError(*violations)
    return name.removeprefix("tasks/")


def page(message: task_pb.ListTasksRequest) -> tuple[int, str]:
    """Returns how many tasks are wanted, and the id behind which they begin.

    Raises:
        InvalidRequestError: Size or token is malformed; carries every violation.
    """
    violations = []
    if not 0 <= message.page_size <= MAX_PAGE_SIZE:
        violations.append(Violation("page_size", f"must lie in [0, {MAX_PAGE_SIZE}], got {message.page_size}"))
    if message.page_token and not _TASK.fullmatch(message.page_token):
        violations.append(Violation("page_token", "must be empty or the next_page_token of an earlier response"))
    if violations:
        raise InvalidRequestError(*violations)
    return message.page_size or DEFAULT_PAGE_SIZE, message.page_token.removeprefix("tasks/")


def _refusal_of(photo: bytes) -> PhotoRefusedError | None:
    try:
        read_header(photo)
    except PhotoRefusedError as refusal:
        return refusal
    return None


def _violations(message: inspection_pb.InspectImageRequest) -> Iterator[Violation]:
    """Yields every broken rule but those of the photo."""
    yield from _task_violations(message.task, "task")
    if message.heads:
        yield from _head_violations(message.heads)
    if not 0 <= message.alternative_count <= MAX_ALTERNATIVES:
        yield Violation("alternative_count", f"must lie in [0, {MAX_ALTERNATIVES}], got {message.alternative_count}")
    if message.HasField("policy"):
        yield from _policy_violations(message.policy)
    if message.HasField("capture"):
        yield from _capture_violations(message.capture)
    if message.HasField("device_prediction"):
        yield from _device_violations(message.device_prediction, message.task)
    if message.request_id and not _is_uuid(message.request_id):
        yield Violation("request_id", "must be empty or a UUID such as 0f0e0d0c-0b0a-4908-8706-050403020100")
    yield from _length_violations("user", message.user, MAX_TEXT_LENGTH)
    yield from _length_violations("routing_key", message.routing_key, MAX_TEXT_LENGTH)


def _task_violations(name: str, field: str) -> Iterator[Violation]:
    if not _TASK.fullmatch(name):
        yield Violation(field, "must have the form tasks/{task}, its id in lower snake case, e.g. tasks/cannabis")


def _head_violations(heads: Sequence[str]) -> Iterator[Violation]:
    if len(heads) > MAX_HEADS:
        yield Violation("heads", f"may name {MAX_HEADS} heads at most, got {len(heads)}")
        return
    seen = set()
    for index, head in enumerate(heads):
        if head in seen:
            yield Violation(f"heads[{index}]", f"names {_quoted(head)} a second time; name each head once")
        seen.add(head)
        yield from _id_violations(f"heads[{index}]", head)


def _policy_violations(policy: inspection_pb.CascadePolicy) -> Iterator[Violation]:
    yield from _length_violations("policy.min_tier", policy.min_tier, MAX_ID_LENGTH)
    yield from _length_violations("policy.max_tier", policy.max_tier, MAX_ID_LENGTH)
    if not 0 <= policy.sufficient_confidence <= 1:  # not a number lies nowhere
        yield Violation(
            "policy.sufficient_confidence",
            f"must lie in (0, 1], or be 0 for the release's own thresholds, got {policy.sufficient_confidence:g}",
        )


def _capture_violations(capture: inspection_pb.Capture) -> Iterator[Violation]:
    yield from _length_violations("capture.device_model", capture.device_model, MAX_TEXT_LENGTH)
    if capture.HasField("location"):
        if not -90 <= capture.location.latitude <= 90:  # noqa: PLR2004 -- degrees
            yield Violation("capture.location.latitude", "must lie in [-90, 90]")
        if not -180 <= capture.location.longitude <= 180:  # noqa: PLR2004 -- degrees
            yield Violation("capture.location.longitude", "must lie in [-180, 180]")
    if capture.HasField("capture_time"):
        earliest, latest = _TIMESTAMP_SECONDS
        time = capture.capture_time
        if not (earliest <= time.seconds <= latest and 0 <= time.nanos <= _MAX_NANOS):
            yield Violation("capture.capture_time", "must lie in the years 1 to 9999, its nanos in [0, 999999999]")
    if len(capture.annotations) > MAX_ANNOTATIONS:
        yield Violation(
            "capture.annotations", f"may have {MAX_ANNOTATIONS} entries at most, got {len(capture.annotations)}"
        )
        return
    for key, value in sorted(capture.annotations.items()):
        field = f"capture.annotations[{_quoted(key)}]"
        if not 1 <= len(key) <= MAX_ANNOTATION_KEY_LENGTH:
            yield Violation(field, f"its key must have 1 to {MAX_ANNOTATION_KEY_LENGTH} characters, got {len(key)}")
        yield from _length_violations(field, value, MAX_ANNOTATION_VALUE_LENGTH)


def _device_violations(device: inspection_pb.DevicePrediction, task_name: str) -> Iterator[Violation]:
    yield from _id_violations("device_prediction.tier", device.tier)
    release = _RELEASE.fullmatch(device.release)
    if release is None:
        yield Violation("device_prediction.release", "must have the form tasks/{task}/releases/{release}")
    elif task_name != f"tasks/{release.group(1)}":
        yield Violation("device_prediction.release", "must be a release of the task that is asked for")
    if not 1 <= len(device.outputs) <= MAX_HEADS:
        yield Violation("device_prediction.outputs", f"must name 1 to {MAX_HEADS} heads, got {len(device.outputs)}")
        return
    for index, output in enumerate(device.outputs):
        field = f"device_prediction.outputs[{index}]"
        yield from _id_violations(f"{field}.head", output.head)
        if not output.probabilities or not all(0 <= each <= 1 for each in output.probabilities):
            yield Violation(f"{field}.probabilities", "must be one or more numbers in [0, 1]")


def _id_violations(field: str, value: str) -> Iterator[Violation]:
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        yield Violation(field, f"must have 1 to {MAX_ID_LENGTH} characters, got {len(value)}")


def _length_violations(field: str, value: str, limit: int) -> Iterator[Violation]:
    if len(value) > limit:
        yield Violation(field, f"must have {limit} characters at most, got {len(value)}")


def _policy(policy: inspection_pb.CascadePolicy) -> CascadePolicy:
    return CascadePolicy(
        min_tier=policy.min_tier or None,
        max_tier=policy.max_tier or None,
        sufficient_confidence=_as_stated(policy.sufficient_confidence) or None,
    )


def _as_stated(value: float) -> float:
    """Returns the decimal that a caller wrote: .9 travels as .89999998, and a threshold is inclusive."""
    return float(f"{value:.7g}") if math.isfinite(value) else value


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _quoted(text: str) -> str:
    """Returns a caller's own word, short enough to be repeated."""
    return repr(text if len(text) <= MAX_ID_LENGTH else f"{text[:MAX_ID_LENGTH]}...")
