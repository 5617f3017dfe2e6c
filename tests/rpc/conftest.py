"""A real gRPC server on a free loopback port, with fake engines behind it."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc.aio
import pytest
from builders import make_release
from fakes import FakeEngines
from PIL import Image

from loupe.client import AsyncLoupeClient
from loupe.options import Tls
from loupe.retry import Retry
from loupe.v1 import inspection_service_pb2 as pb
from server.adapters.clock import SystemClock
from server.domain.inspection_id import InspectionIds
from server.rpc.inspection_servicer import InspectionServicer
from server.rpc.interceptors import CallInterceptor
from server.rpc.server import GatewayServer, ServerOptions, TlsFiles
from server.rpc.task_servicer import TaskServicer
from server.service.catalog import Catalog
from server.service.deadline import DeadlinePolicy
from server.service.door import Door
from server.service.router import Router, RouterOptions

NO_RETRY = Retry(max_attempts=1)


@dataclass
class Gateway:
    """A running gateway without Triton."""

    address: str
    server: GatewayServer
    engines: FakeEngines
    catalog: Catalog
    door: Door
    client: AsyncLoupeClient
    channel: grpc.aio.Channel
    calls: list[tuple[str, str, float, str, str]]


StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    """Starts gateways, and stops them after the test."""
    async with AsyncExitStack() as stack:

        async def start(
            *tiers: str,
            options: RouterOptions | None = None,
            deadlines: DeadlinePolicy | None = None,
            tls: TlsFiles | None = None,
            client_tls: Tls | None = None,
            address: str = "127.0.0.1:0",
        ) -> Gateway:
            clock, catalog, door, engines = SystemClock(), Catalog(), Door(), FakeEngines()
            calls: list[tuple[str, str, float, str, str]] = []
            catalog.activate(make_release(*tiers))
            door.open()
            router = Router(
                engines=engines,
                catalog=catalog,
                door=door,
                ids=InspectionIds(b"k" * 16),
                clock=clock,
                options=options,
            )
            server = GatewayServer(
                inspection=InspectionServicer(
                    router, deadlines=deadlines or DeadlinePolicy(), clock=clock, stream_in_flight=4
                ),
                task=TaskServicer(catalog, door),
                interceptor=CallInterceptor(clock, lambda *facts: calls.append(facts)),
                options=ServerOptions(address, tls=tls),
            )
            stack.push_async_callback(server.stop, 0)
            address = await server.start()
            client = await stack.enter_async_context(AsyncLoupeClient(address, retry=NO_RETRY, tls=client_tls))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            return Gateway(address, server, engines, catalog, door, client, channel, calls)

        yield start


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway that serves the bread task with one tier."""
    return await start_gateway()


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A small JPEG."""
    return encoded(Image.radial_gradient("L").resize((64, 48)).convert("RGB"), "JPEG")


@pytest.fixture
def request_message(photo: bytes) -> pb.InspectImageRequest:
    """A sound request; a test changes what it is about."""
    return pb.InspectImageRequest(task="tasks/bread", image=pb.Image(content=photo))


def encoded(image: Image.Image, name: str) -> bytes:
    """Returns an image in some format."""
    buffer = io.BytesIO()
    image.save(buffer, name)
    return buffer.getvalue()
