"""Bad input: the status that the design says, every violation at once, and nobody else disturbed."""

import asyncio
import struct
import zlib

import grpc
import pytest
from PIL import Image

from loupe.errors import InvalidRequestError, LoupeError, NotFoundError, OverloadedError
from loupe.v1 import inspection_service_pb2 as pb
from server.domain.errors import PhotoRefusedError

from .conftest import Gateway, encoded

MEBIBYTE = 1024 * 1024


async def refused(gateway: Gateway, message: pb.InspectImageRequest) -> LoupeError:
    """Sends a request that must fail, and returns its error."""
    with pytest.raises(LoupeError) as error:
        await gateway.client.inspect_image(message)
    return error.value


def png_of(width: int, height: int) -> bytes:
    """Returns a PNG whose header claims some size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "EMPTY"),
        (b"This is not a photo.", "UNKNOWN_FORMAT"),
        (encoded(Image.new("P", (8, 8)), "GIF"), "UNKNOWN_FORMAT"),
        (encoded(Image.new("RGB", (8, 8)), "JPEG")[:20], "UNDECODABLE"),
        (png_of(0, 10), "UNDECODABLE"),
        (png_of(10_000, 6_000), "TOO_MANY_PIXELS"),
        (b"\xff\xd8\xff" + bytes(10 * MEBIBYTE), "TOO_MANY_BYTES"),
    ],
    ids=["empty", "text", "gif", "truncated", "no pixels", "60 megapixels", "over 10 MiB"],
)
async def test_a_photo_that_cannot_be_taken_is_an_invalid_argument(
    gateway: Gateway, request_message: pb.InspectImageRequest, content: bytes, code: str
) -> None:
    """With a code for programs, and never an engine run."""
    request_message.image.content = content
    error = await refused(gateway, request_message)
    assert isinstance(error, InvalidRequestError)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "PHOTO_REFUSED"
    [violation] = error.violations
    assert violation.field == "image.content"
    assert violation.reason in (code, "BAD_DIMENSIONS")
    assert gateway.engines.calls == []


async def test_a_photo_that_triton_cannot_decode_is_an_invalid_argument(
    gateway: Gateway, request_message: pb.InspectImageRequest
) -> None:
    """What only decoding shows is refused in the same words."""
    gateway.engines.default = PhotoRefusedError("UNDECODABLE")
    error = await refused(gateway, request_message)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PHOTO_REFUSED")
    assert error.violations[0].reason == "UNDECODABLE"


async def test_a_missing_image_is_an_empty_photo(gateway: Gateway) -> None:
    """Whether image or content is left out makes no difference."""
    error = await refused(gateway, pb.InspectImageRequest(task="tasks/bread"))
    assert [each.reason for each in error.violations] == ["EMPTY"]


async def test_a_message_over_12_mib_is_stopped_by_the_transport(
    gateway: Gateway, request_message: pb.InspectImageRequest
) -> None:
    """It is not even read."""
    request_message.image.content = bytes(13 * MEBIBYTE)
    error = await refused(gateway, request_message)
    assert isinstance(error, OverloadedError)
    assert error.retry_after_s is None


@pytest.mark.parametrize("count", [-1, 101, 2**31 - 1])
async def test_too_many_or_negative_alternatives(
    gateway: Gateway, request_message: pb.InspectImageRequest, count: int
) -> None:
    """Between 0 and 100."""
    request_message.alternative_count = count
    error = await refused(gateway, request_message)
    assert isinstance(error, InvalidRequestError)
    assert error.reason == "INVALID_REQUEST"
    assert [each.field for each in error.violations] == ["alternative_count"]
    assert str(count) in error.violations[0].description


FIELDS: list[tuple[str, pb.InspectImageRequest]] = [
    ("task", pb.InspectImageRequest(task="bread")),
    ("task", pb.InspectImageRequest(task="tasks/Bread")),
    ("task", pb.InspectImageRequest(task="tasks/bread\n")),
    ("heads[1]", pb.InspectImageRequest(heads=["kind", "kind"])),
    ("heads[0]", pb.InspectImageRequest(heads=[""])),
    ("heads[0]", pb.InspectImageRequest(heads=["x" * 64])),
    ("heads", pb.InspectImageRequest(heads=[str(each) for each in range(65)])),
    ("policy.min_tier", pb.InspectImageRequest(policy=pb.CascadePolicy(min_tier="x" * 64))),
    ("policy.max_tier", pb.InspectImageRequest(policy=pb.CascadePolicy(max_tier="x" * 64))),
    ("policy.sufficient_confidence", pb.InspectImageRequest(policy=pb.CascadePolicy(sufficient_confidence=1.01))),
    ("policy.sufficient_confidence", pb.InspectImageRequest(policy=pb.CascadePolicy(sufficient_confidence=-0.1))),
    (
        "policy.sufficient_confidence",
        pb.InspectImageRequest(policy=pb.CascadePolicy(sufficient_confidence=float("nan"))),
    ),
    ("capture.device_model", pb.InspectImageRequest(capture=pb.Capture(device_model="x" * 129))),
    ("capture.location.latitude", pb.InspectImageRequest(capture=pb.Capture(location={"latitude": 90.1}))),
    ("capture.location.longitude", pb.InspectImageRequest(capture=pb.Capture(location={"longitude": float("nan")}))),
    ("capture.capture_time", pb.InspectImageRequest(capture=pb.Capture(capture_time={"seconds": 2**60}))),
    ("capture.annotations", pb.InspectImageRequest(capture=pb.Capture(annotations={str(i): "" for i in range(17)}))),
    ("capture.annotations['']", pb.InspectImageRequest(capture=pb.Capture(annotations={"": "x"}))),
    ("capture.annotations['strain']", pb.InspectImageRequest(capture=pb.Capture(annotations={"strain": "x" * 257}))),
    ("request_id", pb.InspectImageRequest(request_id="7")),
    ("request_id", pb.InspectImageRequest(request_id="{0f0e0d0c-0b0a-4908-8706-050403020100}")),
    ("user", pb.InspectImageRequest(user="x" * 129)),
    ("routing_key", pb.InspectImageRequest(routing_key="x" * 129)),
]


@pytest.mark.parametrize(("field", "change"), FIELDS, ids=[f"{number} {each[0]}" for number, each in enumerate(FIELDS)])
async def test_each_broken_rule_is_named_by_its_field(
    gateway: Gateway, request_message: pb.InspectImageRequest, field: str, change: pb.InspectImageRequest
) -> None:
    """One rule broken, one violation, before any engine runs."""
    request_message.MergeFrom(change)
    error = await refused(gateway, request_message)
    assert isinstance(error, InvalidRequestError)
    assert [each.field for each in error.violations] == [field]
    assert gateway.engines.calls == []


@pytest.mark.parametrize(
    ("device", "fields"),
    [
        (pb.DevicePrediction(), ["tier", "release", "outputs"]),
        (
            pb.DevicePrediction(
                tier="fast",
                release="tasks/cheese/releases/1",
                outputs=[pb.RawHeadOutput(head="", probabilities=[1.5]), pb.RawHeadOutput(head="kind")],
            ),
            ["release", "outputs[0].head", "outputs[0].probabilities", "outputs[1].probabilities"],
        ),
    ],
)
async def test_a_device_prediction_must_be_complete(
    gateway: Gateway, request_message: pb.InspectImageRequest, device: pb.DevicePrediction, fields: list[str]
) -> None:
    """Tier, release of the same task, and probabilities that are probabilities."""
    request_message.device_prediction.CopyFrom(device)
    error = await refused(gateway, request_message)
    assert [each.field for each in error.violations] == [f"device_prediction.{each}" for each in fields]


async def test_all_violations_come_at_once(gateway: Gateway) -> None:
    """A caller mends everything in one round."""
    message = pb.InspectImageRequest(
        task="bread",
        image=pb.Image(content=b"GIF89a"),
        heads=["kind", "kind"],
        alternative_count=-1,
        policy=pb.CascadePolicy(sufficient_confidence=2),
        request_id="no",
    )
    error = await refused(gateway, message)
    assert [each.field for each in error.violations] == [
        "image.content",
        "task",
        "heads[1]",
        "alternative_count",
        "policy.sufficient_confidence",
        "request_id",
    ]
    assert error.reason == "INVALID_REQUEST"


async def test_a_flood_of_violations_still_arrives(gateway: Gateway) -> None:
    """Statuses travel in headers, which are limited: what is too long is cut, and the call ends as it should."""
    message = pb.InspectImageRequest(
        task="x" * 100_000,
        heads=["h" * 5000] * 64,
        capture=pb.Capture(annotations={f"{each}" + "k" * 5000: "v" * 5000 for each in range(16)}),
    )
    error = await refused(gateway, message)
    assert isinstance(error, InvalidRequestError)
    assert len(error.violations) == 12


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        (pb.InspectImageRequest(task="tasks/cheese"), "task", "cheese"),
        (pb.InspectImageRequest(heads=["size"]), "head", "size"),
        (pb.InspectImageRequest(policy=pb.CascadePolicy(max_tier="huge")), "tier", "huge"),
        (pb.InspectImageRequest(policy=pb.CascadePolicy(min_tier="huge")), "tier", "huge"),
    ],
)
async def test_what_does_not_exist_is_not_found(
    gateway: Gateway, request_message: pb.InspectImageRequest, change: pb.InspectImageRequest, kind: str, name: str
) -> None:
    """With the resource by type and name, and what there is instead."""
    request_message.MergeFrom(change)
    error = await refused(gateway, request_message)
    assert isinstance(error, NotFoundError)
    assert error.reason == f"{kind.upper()}_NOT_FOUND"
    assert error.resource is not None
    assert (error.resource.type, error.resource.name) == (kind, name)
    assert "known: " in error.message


async def test_a_message_that_is_no_protobuf_is_an_invalid_argument(gateway: Gateway) -> None:
    """Bytes that cannot be parsed are the caller's fault, and said so."""
    call = gateway.channel.unary_unary("/loupe.v1.InspectionService/InspectImage")
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(b"\xff\xff\xff", timeout=10)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_neighbours_are_not_disturbed(gateway: Gateway, request_message: pb.InspectImageRequest) -> None:
    """Bad requests among good ones: each gets its own answer, and the server stays well."""
    bad = pb.InspectImageRequest(task="tasks/bread", image=pb.Image(content=b"GIF89a"))
    unknown = pb.InspectImageRequest(task="tasks/cheese", image=request_message.image)
    messages = [request_message, bad, unknown] * 20
    results = await asyncio.gather(*(gateway.client.inspect_image(each) for each in messages), return_exceptions=True)
    kinds = [type(each) for each in results]
    assert kinds == [pb.InspectImageResponse, InvalidRequestError, NotFoundError] * 20
    await gateway.server.set_serving(serving=True)
    assert await gateway.client.is_serving()
