"""What a client is told once, and what it then sends with every call. Pure but for reading photo files."""

import ipaddress
import os
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict, Unpack

import grpc

from loupe.retry import Retry
from loupe.v1 import inspection_service_pb2 as inspection_pb

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
DEFAULT_TIMEOUT_S: Final = 10.0

Photo = bytes | os.PathLike[str]

_MAX_MESSAGE_BYTES = 12 * 1024 * 1024
_KEEPALIVE_MS = 30_000


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server is to prove itself.

    Attributes:
        root_certificates: The authorities to trust, in PEM; the system's own if None.
        server_name: The name in the server's certificate, where it differs from the address.
    """

    root_certificates: bytes | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What both clients have in common.

    Attributes:
        address: Host and port, or any gRPC target.
        timeout_s: For calls that name none, above 0; retries included.
        retry: When to try again.
        tls: None for a connection without TLS.
        token: Sent with every call; needs TLS, or a server on this machine.
    """

    address: str = DEFAULT_ADDRESS
    timeout_s: float = DEFAULT_TIMEOUT_S
    retry: Retry = field(default_factory=Retry)
    tls: Tls | None = None
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError where the token would cross a network in the clear."""
        if self.token is not None and self.tls is None and not _is_local(self.address):
            raise ValueError(f"a token for {self.address} needs TLS: pass tls=Tls()")

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns what goes out with one call and its retries."""
        request_id = ("x-request-id", secrets.token_hex(8))
        return (request_id,) if self.token is None else (request_id, ("authorization", f"Bearer {self.token}"))

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Returns the channel's credentials; None without TLS."""
        return None if self.tls is None else grpc.ssl_channel_credentials(self.tls.root_certificates)

    def channel_options(self) -> list[tuple[str, str | int]]:
        """Returns the channel's options."""
        options: list[tuple[str, str | int]] = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.enable_retries", 0),  # retries are ours, within the deadline
        ]
        if self.tls is not None and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options


class InspectFields(TypedDict, total=False):
    """What an inspection may say beside task and photo; see `InspectImageRequest`.

    Attributes:
        heads: The heads to answer; all if empty.
        alternative_count: The number of alternatives per answer, in [0, 100].
        include_attention_map: Whether to return where the model looked.
        policy: Limits on the cascade.
        capture: How and where the photo was taken.
        device_prediction: What a model on the device has answered.
        user: A pseudonym of the end user.
        routing_key: Keeps an end user on one side of a canary.
        may_keep_photo: Whether the end user agrees that the photo is kept.
    """

    heads: Sequence[str]
    alternative_count: int
    include_attention_map: bool
    policy: inspection_pb.CascadePolicy
    capture: inspection_pb.Capture
    device_prediction: inspection_pb.DevicePrediction
    user: str
    routing_key: str
    may_keep_photo: bool


def inspect_request(photo: Photo, *, task: str, **fields: Unpack[InspectFields]) -> inspection_pb.InspectImageRequest:
    """Returns a request with a fresh `request_id`, so that a retry is recorded once.

    Args:
        photo: The encoded bytes, or the path of the file.
        task: The task's id or resource name, e.g. `cannabis` or `tasks/cannabis`.
        **fields: See `InspectFields`.
    """
    content = photo if isinstance(photo, bytes) else Path(photo).read_bytes()
    return inspection_pb.InspectImageRequest(
        task=task_name(task), image=inspection_pb.Image(content=content), request_id=str(uuid.uuid4()), **fields
    )


def task_name(task: str) -> str:
    """Returns the resource name of a task that is given by its id or its name."""
    return task if "/" in task else f"tasks/{task}"


def _is_local(address: str) -> bool:
    """Whether a gRPC target lies on this machine."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].rpartition("/")[2].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
