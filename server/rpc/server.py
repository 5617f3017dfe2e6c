"""The gRPC server: listens before the backend is ready, says so in its health, and drains."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import inspection_service_pb2_grpc as inspection_grpc
from loupe.v1 import task_service_pb2 as task_pb
from loupe.v1 import task_service_pb2_grpc as task_grpc
from server.rpc.errors import ListenError
from server.rpc.inspection_servicer import InspectionServicer
from server.rpc.interceptors import CallInterceptor
from server.rpc.task_servicer import TaskServicer

MAX_MESSAGE_BYTES: Final = 12 * 1024 * 1024
SERVICE_NAMES: Final = (
    inspection_pb.DESCRIPTOR.services_by_name["InspectionService"].full_name,
    task_pb.DESCRIPTOR.services_by_name["TaskService"].full_name,
)

_MIN_CLIENT_PING_INTERVAL_MS = 10_000
_SOCKET = "unix:"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What the server proves itself with, in PEM.

    Attributes:
        certificate: The certificate chain.
        key: Its private key.
    """

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the server listens.

    Attributes:
        address: Host and port, port 0 for a free one; or `unix:PATH`.
        max_concurrent_calls: Beyond these, calls are refused before they are read; at least 1.
        tls: None to listen without TLS.
    """

    address: str
    max_concurrent_calls: int = 512
    tls: TlsFiles | None = field(default=None)


class GatewayServer:
    """The gateway's server; NOT_SERVING until told otherwise."""

    def __init__(
        self,
        *,
        inspection: InspectionServicer,
        task: TaskServicer,
        interceptor: CallInterceptor,
        options: ServerOptions,
    ) -> None:
        """Prepares the server; must be called in the event loop that will serve.

        Args:
            inspection: Answers inspections.
            task: Answers for tasks.
            interceptor: Wraps every call.
            options: How to listen.
        """
        self._options = options
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=(interceptor,),
            options=_channel_options(),
            maximum_concurrent_rpcs=options.max_concurrent_calls,
        )
        inspection_grpc.add_InspectionServiceServicer_to_server(inspection, self._server)
        task_grpc.add_TaskServiceServicer_to_server(task, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    async def start(self) -> str:
        """Listens, and returns the address with the port that was bound.

        Raises:
            ListenError: The address is taken or malformed, or the TLS files cannot be read.
        """
        await self.set_serving(serving=False)
        address = self._options.address
        try:
            port = self._bind(address)
        except FileNotFoundError as error:
            cure = "Set LOUPE_TLS_CERTIFICATE and LOUPE_TLS_KEY to files in PEM, or to nothing."
            raise ListenError(address, f"there is no file {error.filename}", cure=cure) from error
        except (OSError, RuntimeError) as error:
            why = "it is taken by another program, or not an address of this machine"
            cure = "End what listens there, or listen elsewhere: LOUPE_LISTEN=127.0.0.1:50151 loupe serve"
            raise ListenError(address, why, cure=cure) from error
        await self._server.start()
        return address if address.startswith(_SOCKET) else f"{address.rpartition(':')[0]}:{port}"

    async def set_serving(self, *, serving: bool) -> None:
        """Says in the health of every service whether calls will be answered."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *SERVICE_NAMES):
            await self._health.set(name, status)

    async def stop(self, grace_s: float) -> None:
        """Closes the port at once, and cancels calls that take longer than `grace_s`."""
        await self._server.stop(grace_s)

    def _bind(self, address: str) -> int:
        tls = self._options.tls
        if tls is None:
            return self._server.add_insecure_port(address)
        credentials = grpc.ssl_server_credentials([(tls.key.read_bytes(), tls.certificate.read_bytes())])
        return self._server.add_secure_port(address, credentials)


def _channel_options() -> Sequence[tuple[str, Any]]:
    return (
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # Two servers on one port would share its calls without a word.
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_CLIENT_PING_INTERVAL_MS),
    )
