"""The server around the services: health, reflection, tasks, and where it listens."""

# ruff: noqa: S106 -- page tokens are not secrets

import asyncio
from pathlib import Path

import grpc.aio
import pytest
from builders import TASK, make_tier
from certificates import NAME, self_signed
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from loupe.errors import InvalidRequestError, NotFoundError
from loupe.options import Tls
from loupe.v1 import task_service_pb2 as task_pb
from loupe.v1 import task_service_pb2_grpc as task_grpc
from server.domain.release import Release
from server.domain.task import Task
from server.rpc.errors import ListenError
from server.rpc.server import SERVICE_NAMES, TlsFiles

from .conftest import Gateway, StartGateway

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", *SERVICE_NAMES])
async def test_health_is_not_serving_until_told_otherwise(gateway: Gateway, service: str) -> None:
    """Overall and for each service, and back again."""
    stub = health_pb2_grpc.HealthStub(gateway.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    assert (await stub.Check(request, timeout=5)).status == NOT_SERVING
    assert not await gateway.client.is_serving()
    await gateway.server.set_serving(serving=True)
    assert (await stub.Check(request, timeout=5)).status == SERVING
    await gateway.server.set_serving(serving=False)
    assert (await stub.Check(request, timeout=5)).status == NOT_SERVING


async def test_who_watches_health_is_told(gateway: Gateway) -> None:
    """A load balancer need not ask again and again."""
    stub = health_pb2_grpc.HealthStub(gateway.channel)
    updates = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
    assert (await updates.read()).status == NOT_SERVING
    await gateway.server.set_serving(serving=True)
    assert (await updates.read()).status == SERVING
    updates.cancel()


async def test_reflection_lists_what_is_served(gateway: Gateway) -> None:
    """So that grpcurl needs no protos."""
    stub = reflection_pb2_grpc.ServerReflectionStub(gateway.channel)
    call = stub.ServerReflectionInfo(timeout=10)
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    names = {each.name for each in (await call.read()).list_services_response.service}
    assert names >= {*SERVICE_NAMES, "grpc.health.v1.Health"}
    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE_NAMES[0]))
    assert (await call.read()).file_descriptor_response.file_descriptor_proto
    await call.done_writing()


async def test_a_task_says_what_it_asks_and_what_serves_it(gateway: Gateway) -> None:
    """Heads, labels, decision heads, tiers, and the active release."""
    task = await gateway.client.get_task("bread")
    assert (task.name, task.title, task.active_release) == ("tasks/bread", "Bread", "tasks/bread/releases/1")
    assert [each.id for each in task.heads] == ["kind", "grade", "signs"]
    assert [each.kind for each in task.heads] == [1, 1, 2]
    assert list(task.heads[0].labels) == ["rye", "wheat", "spelt"]
    assert list(task.decision_heads) == ["kind", "grade"]
    assert [(each.id, each.precision, each.input_size_px) for each in task.tiers] == [("fast", "fp32", 32)]


async def test_an_unknown_task_is_not_found(gateway: Gateway) -> None:
    """And a malformed name is an invalid argument."""
    with pytest.raises(NotFoundError):
        await gateway.client.get_task("cheese")
    with pytest.raises(InvalidRequestError) as error:
        await gateway.client.get_task("Cheese")
    assert [each.field for each in error.value.violations] == ["task"]


async def test_tasks_come_in_pages(start_gateway: StartGateway) -> None:
    """By id, each once, and the last page has no token."""
    gateway = await start_gateway()
    for name in ("ale", "cake", "dough"):
        gateway.catalog.activate(Release(Task(name, name, TASK.heads, TASK.decision_heads), 1, (make_tier(),)))
    stub = task_grpc.TaskServiceStub(gateway.channel)
    first = await stub.ListTasks(task_pb.ListTasksRequest(page_size=3), timeout=5)
    assert [each.name for each in first.tasks] == ["tasks/ale", "tasks/bread", "tasks/cake"]
    second = await stub.ListTasks(task_pb.ListTasksRequest(page_size=3, page_token=first.next_page_token), timeout=5)
    assert [each.name for each in second.tasks] == ["tasks/dough"]
    assert second.next_page_token == ""
    assert len(await gateway.client.list_tasks()) == 4


async def test_no_task_is_no_page(start_gateway: StartGateway) -> None:
    """A token behind the last task gives an empty last page."""
    gateway = await start_gateway()
    stub = task_grpc.TaskServiceStub(gateway.channel)
    page = await stub.ListTasks(task_pb.ListTasksRequest(page_token="tasks/zoo"), timeout=5)
    assert (len(page.tasks), page.next_page_token) == (0, "")


async def test_a_page_must_make_sense(gateway: Gateway) -> None:
    """Size and token are checked together."""
    stub = task_grpc.TaskServiceStub(gateway.channel)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.ListTasks(task_pb.ListTasksRequest(page_size=1001, page_token="?"), timeout=5)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "page_size" in (error.value.details() or "")
    assert "page_token" in (error.value.details() or "")


async def test_two_gateways_do_not_share_a_port(gateway: Gateway, start_gateway: StartGateway) -> None:
    """The second one says that it cannot listen, instead of taking half of the calls."""
    with pytest.raises(ListenError, match=gateway.address):
        await start_gateway(address=gateway.address)


async def test_an_address_must_be_one(start_gateway: StartGateway) -> None:
    """What is not host and port cannot be listened on."""
    with pytest.raises(ListenError):
        await start_gateway(address="nowhere.invalid:50051")


async def test_a_socket_may_be_listened_on(start_gateway: StartGateway, tmp_path: Path) -> None:
    """For callers on the same machine."""
    gateway = await start_gateway(address=f"unix:{tmp_path / 'loupe'}")
    assert gateway.address == f"unix:{tmp_path / 'loupe'}"
    assert (await gateway.client.get_task("bread")).title == "Bread"


async def test_tls_is_spoken_where_it_is_set(start_gateway: StartGateway, tmp_path: Path) -> None:
    """The gateway proves its name, and a client without TLS gets nowhere."""
    certificate, key = self_signed(tmp_path)
    tls = Tls(root_certificates=certificate.read_bytes(), server_name=NAME)
    gateway = await start_gateway(tls=TlsFiles(certificate, key), client_tls=tls)
    assert (await gateway.client.get_task("bread")).title == "Bread"
    with pytest.raises(grpc.aio.AioRpcError):
        await task_grpc.TaskServiceStub(gateway.channel).ListTasks(task_pb.ListTasksRequest(), timeout=5)


async def test_a_missing_certificate_is_said(start_gateway: StartGateway, tmp_path: Path) -> None:
    """Before anything listens."""
    absent = tmp_path / "absent.pem"
    with pytest.raises(ListenError, match=r"absent\.pem"):
        await start_gateway(tls=TlsFiles(absent, absent))


async def test_stopping_ends_calls_after_the_grace(gateway: Gateway) -> None:
    """A connection that goes on for ever does not keep the server."""
    stub = health_pb2_grpc.HealthStub(gateway.channel)
    updates = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
    await updates.read()
    async with asyncio.timeout(5):
        await gateway.server.stop(0.05)
    with pytest.raises(grpc.aio.AioRpcError):
        await updates.read()
