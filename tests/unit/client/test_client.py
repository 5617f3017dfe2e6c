"""Both clients: what they send, when they try again, and what their errors carry."""

# ruff: noqa: S105, S106 -- these tokens are not secrets

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from certificates import NAME, self_signed
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st

from loupe import AsyncLoupeClient, ClientOptions, LoupeClient, Retry, Tls, inspect_request
from loupe.errors import (
    DeadlineExpiredError,
    Failure,
    InvalidRequestError,
    LoupeError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from loupe.v1 import inspection_service_pb2 as pb
from loupe.v1 import task_service_pb2 as task_pb

QUICK = Retry(max_attempts=4, first_delay_s=0.001, longest_delay_s=0.002)


@dataclass
class Script:
    """What a server answers, call by call, and what it was asked.

    Attributes:
        answers: Each a message, or a code with details; the last one is repeated.
    """

    answers: list[Message | tuple[grpc.StatusCode, list[Message]]]
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    remaining_s: list[float] = field(default_factory=list)

    def answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Answers the next call as told."""
        self.requests.append(request)
        self.metadata.append({each.key: each.value for each in context.invocation_metadata()})
        self.remaining_s.append(context.time_remaining() or -1)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Message):
            return answer.SerializeToString()
        code, details = answer
        status = status_pb2.Status(code=code.value[0], message="no")
        for detail in details:
            status.details.add().Pack(detail)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "no")
        raise AssertionError


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Script, str]]]:
    """Starts servers that follow a script; returns script and address."""
    servers: list[grpc.Server] = []

    def start(*answers: Any, credentials: grpc.ServerCredentials | None = None) -> tuple[Script, str]:
        script = Script(list(answers))
        handler = grpc.unary_unary_rpc_method_handler(script.answer)
        server = grpc.server(ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        for service, methods in {
            "loupe.v1.InspectionService": ["InspectImage"],
            "loupe.v1.TaskService": ["ListTasks", "GetTask"],
            "grpc.health.v1.Health": ["Check"],
        }.items():
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, dict.fromkeys(methods, handler)),)
            )
        address = "127.0.0.1:0"
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        server.start()
        servers.append(server)
        return script, f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(0).wait(5)


class Threaded:
    """The threaded client behind the asynchronous one's face."""

    def __init__(self, client: LoupeClient) -> None:
        """Runs each call in a thread."""
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Returns the method of that name, made awaitable."""
        method = getattr(self._client, name)
        return lambda *args, **kwargs: asyncio.to_thread(method, *args, **kwargs)


@pytest.fixture(params=[LoupeClient, AsyncLoupeClient], ids=["sync", "async"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Any]]:
    """Makes clients of either kind; the same suite holds for both."""
    clients: list[Any] = []

    def make(address: str, **options: Any) -> Any:
        client = request.param(address, **({"retry": QUICK} | options))
        clients.append(client)
        return Threaded(client) if isinstance(client, LoupeClient) else client

    yield make
    for client in clients:
        if isinstance(client, LoupeClient):
            with client:
                pass
        else:
            async with client:
                pass


ANSWER = pb.InspectImageResponse(inspection="inspections/1")
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, [])


def overloaded(retry_after_ms: int | None = None) -> tuple[grpc.StatusCode, list[Message]]:
    """Returns a shed call, with or without RetryInfo."""
    info = error_details_pb2.RetryInfo()
    if retry_after_ms is None:
        return grpc.StatusCode.RESOURCE_EXHAUSTED, []
    info.retry_delay.FromMilliseconds(retry_after_ms)
    return grpc.StatusCode.RESOURCE_EXHAUSTED, [info]


async def test_a_photo_goes_out_with_all_that_is_said_of_it(serve: Any, connect: Any, tmp_path: Path) -> None:
    """As bytes or as a file, the task by id or by name."""
    script, address = serve(ANSWER)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"jpeg")
    client = connect(address)
    assert (await client.inspect(photo, task="bread", heads=["kind"], alternative_count=3)).inspection
    assert (await client.inspect(b"jpeg", task="tasks/bread", include_attention_map=True)).inspection
    first, second = (pb.InspectImageRequest.FromString(each) for each in script.requests)
    assert (first.task, second.task) == ("tasks/bread", "tasks/bread")
    assert (first.image.content, second.image.content) == (b"jpeg", b"jpeg")
    assert (list(first.heads), first.alternative_count) == (["kind"], 3)
    assert second.include_attention_map
    assert first.request_id != second.request_id != ""


async def test_an_unavailable_server_is_tried_again(serve: Any, connect: Any) -> None:
    """With the same request and the same request id, until it answers."""
    script, address = serve(UNAVAILABLE, UNAVAILABLE, ANSWER)
    assert (await connect(address).inspect(b"x", task="bread")).inspection == "inspections/1"
    assert len(script.requests) == 3
    assert len(set(script.requests)) == 1
    assert len({each["x-request-id"] for each in script.metadata}) == 1


async def test_attempts_are_limited(serve: Any, connect: Any) -> None:
    """After the last one comes the error of the last one."""
    script, address = serve(UNAVAILABLE)
    with pytest.raises(UnavailableError):
        await connect(address).inspect(b"x", task="bread")
    assert len(script.requests) == QUICK.max_attempts


@pytest.mark.parametrize("attempts", [1, 4])
async def test_an_unreachable_server_is_unavailable(connect: Any, attempts: int) -> None:
    """There may be nobody at all."""
    with pytest.raises(UnavailableError):
        await connect("127.0.0.1:1", retry=Retry(attempts, 0.001, 0.001)).inspect(b"x", task="bread", timeout_s=5)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
        (grpc.StatusCode.UNAUTHENTICATED, UnauthenticatedError),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDeniedError),
        (grpc.StatusCode.UNIMPLEMENTED, UnimplementedError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExpiredError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
        (grpc.StatusCode.INTERNAL, LoupeError),
    ],
)
async def test_other_failures_are_not_tried_again(
    serve: Any, connect: Any, code: grpc.StatusCode, error: type[LoupeError]
) -> None:
    """Each has its class and its code."""
    script, address = serve((code, []))
    with pytest.raises(error) as failure:
        await connect(address).inspect(b"x", task="bread")
    assert failure.value.code is code
    assert len(script.requests) == 1


async def test_overload_is_retried_only_if_asked(serve: Any, connect: Any) -> None:
    """Whoever asks comes back when the server says, and not before."""
    script, address = serve(overloaded(1), ANSWER)
    with pytest.raises(OverloadedError) as failure:
        await connect(address).inspect(b"x", task="bread")
    assert failure.value.retry_after_s == pytest.approx(0.001)
    assert len(script.requests) == 1
    script, address = serve(overloaded(1), ANSWER)
    insistent = Retry(4, 0.001, 0.001, retry_overload=True)
    assert (await connect(address, retry=insistent).inspect(b"x", task="bread")).inspection


async def test_overload_without_a_time_is_final(serve: Any, connect: Any) -> None:
    """A message too large for the transport will not get smaller."""
    script, address = serve(overloaded())
    with pytest.raises(OverloadedError):
        await connect(address, retry=Retry(4, 0.001, 0.001, retry_overload=True)).inspect(b"x", task="bread")
    assert len(script.requests) == 1


async def test_retries_stay_within_the_deadline(serve: Any, connect: Any) -> None:
    """A delay that would outlast the caller's time is not waited for."""
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromSeconds(30)
    script, address = serve((grpc.StatusCode.UNAVAILABLE, [info]))
    with pytest.raises(UnavailableError) as failure:
        await connect(address).inspect(b"x", task="bread", timeout_s=2)
    assert failure.value.retry_after_s == pytest.approx(30)
    assert len(script.requests) == 1


async def test_every_call_has_a_deadline(serve: Any, connect: Any) -> None:
    """The client's own, or the call's."""
    script, address = serve(ANSWER)
    client = connect(address, timeout_s=7)
    await client.inspect(b"x", task="bread")
    await client.inspect(b"x", task="bread", timeout_s=3)
    assert script.remaining_s == pytest.approx([7, 3], abs=0.9)


async def test_an_error_carries_what_the_server_said(serve: Any, connect: Any) -> None:
    """Reason, violations, resource and request id."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="task", description="bad", reason="FORM")
    details = [
        error_details_pb2.ErrorInfo(reason="INVALID_REQUEST", domain="loupe"),
        error_details_pb2.BadRequest(field_violations=[violation]),
        error_details_pb2.ResourceInfo(resource_type="head", resource_name="size"),
        error_details_pb2.RequestInfo(request_id="abc"),
        error_details_pb2.DebugInfo(detail="unknown to the client"),
    ]
    _, address = serve((grpc.StatusCode.INVALID_ARGUMENT, details))
    with pytest.raises(InvalidRequestError, match="INVALID_ARGUMENT: no") as failure:
        await connect(address).inspect(b"x", task="bread")
    error = failure.value
    assert (error.reason, error.request_id, error.message) == ("INVALID_REQUEST", "abc", "no")
    assert [(each.field, each.description, each.reason) for each in error.violations] == [("task", "bad", "FORM")]
    assert error.resource is not None
    assert (error.resource.type, error.resource.name) == ("head", "size")


async def test_a_token_goes_with_every_call(serve: Any, connect: Any) -> None:
    """As a bearer, to a server on this machine."""
    script, address = serve(ANSWER)
    await connect(address, token="t0ken").inspect(b"x", task="bread")
    assert script.metadata[0]["authorization"] == "Bearer t0ken"


async def test_tasks_are_read_page_by_page(serve: Any, connect: Any) -> None:
    """Until the last page."""
    first = task_pb.ListTasksResponse(tasks=[task_pb.Task(name="tasks/a")], next_page_token="tasks/a")
    second = task_pb.ListTasksResponse(tasks=[task_pb.Task(name="tasks/b")])
    script, address = serve(first, second)
    tasks = await connect(address).list_tasks()
    assert [each.name for each in tasks] == ["tasks/a", "tasks/b"]
    assert task_pb.ListTasksRequest.FromString(script.requests[1]).page_token == "tasks/a"


async def test_a_task_is_named_by_its_id(serve: Any, connect: Any) -> None:
    """Or by its resource name."""
    _, address = serve(task_pb.GetTaskResponse(task=task_pb.Task(title="Bread")))
    assert (await connect(address).get_task("bread")).title == "Bread"


@pytest.mark.parametrize(
    ("status", "serving"),
    [
        (health_pb2.HealthCheckResponse.SERVING, True),
        (health_pb2.HealthCheckResponse.NOT_SERVING, False),
        (health_pb2.HealthCheckResponse.UNKNOWN, False),
    ],
)
async def test_health_is_read(serve: Any, connect: Any, status: int, serving: bool) -> None:  # noqa: FBT001
    """SERVING and nothing else."""
    _, address = serve(health_pb2.HealthCheckResponse(status=status))
    assert await connect(address).is_serving() is serving


async def test_waiting_for_a_server_that_never_serves_ends(connect: Any) -> None:
    """With an error that says where and how long."""
    with pytest.raises(DeadlineExpiredError, match="does not serve"):
        await connect("127.0.0.1:1").wait_until_serving(timeout_s=0.01)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/x", "dns:///localhost:1"])
def test_a_token_may_stay_on_this_machine_in_the_clear(address: str) -> None:
    """Loopback and sockets cross no network."""
    assert ClientOptions(address, token="t").token == "t"


@pytest.mark.parametrize("address", ["example.org:1", "10.0.0.1:1", "dns:///example.org:1"])
def test_a_token_never_crosses_a_network_in_the_clear(address: str) -> None:
    """Without TLS the client is not even made."""
    with pytest.raises(ValueError, match="needs TLS"):
        ClientOptions(address, token="t")
    assert ClientOptions(address, token="t", tls=Tls()).token == "t"
    assert "secret" not in repr(ClientOptions(token="secret"))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A self-signed certificate, and its key."""
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    return certificate.read_bytes(), key.read_bytes()


async def test_tls_with_a_token(serve: Any, connect: Any, certificate: tuple[bytes, bytes]) -> None:
    """A server that proves its name is spoken to; another is not."""
    chain, key = certificate
    script, address = serve(ANSWER, credentials=grpc.ssl_server_credentials([(key, chain)]))
    tls = Tls(root_certificates=chain, server_name=NAME)
    assert (await connect(address, tls=tls, token="t0ken").inspect(b"x", task="bread")).inspection
    assert script.metadata[0]["authorization"] == "Bearer t0ken"
    stranger = connect(address, tls=Tls(root_certificates=chain, server_name="other.test"), retry=Retry(1))
    with pytest.raises(UnavailableError):
        await stranger.inspect(b"x", task="bread", timeout_s=5)
    assert len(script.requests) == 1


FAILURES = st.sampled_from(
    [
        UnavailableError(Failure(grpc.StatusCode.UNAVAILABLE, "")),
        UnavailableError(Failure(grpc.StatusCode.UNAVAILABLE, "", retry_after_s=0.5)),
        OverloadedError(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "", retry_after_s=0.5)),
        OverloadedError(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "")),
        InvalidRequestError(Failure(grpc.StatusCode.INVALID_ARGUMENT, "", retry_after_s=0.5)),
    ]
)


@given(
    FAILURES,
    st.integers(1, 2000),
    st.floats(-1, 100),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 2000),
    st.booleans(),
)
def test_a_delay_is_within_every_limit(
    error: LoupeError,
    attempt: int,
    remaining_s: float,
    draw: float,
    most: int,
    overload: bool,  # noqa: FBT001
) -> None:
    """Never beyond the deadline or the attempts, never before the server's time, never without a reason."""
    retry = Retry(most, 0.1, 2.0, retry_overload=overload)
    delay_s = retry.delay_s(error, attempt=attempt, remaining_s=remaining_s, draw=draw)
    if delay_s is None:
        return
    assert attempt < most
    assert (error.retry_after_s or 0) <= delay_s < remaining_s
    assert delay_s <= (error.retry_after_s or 0) + 2.0
    assert isinstance(error, UnavailableError) or (overload and error.retry_after_s is not None)


@pytest.mark.parametrize(("attempts", "first_s", "longest_s"), [(0, 0.1, 1), (1, -1, 1), (1, 2, 1)])
def test_retries_must_make_sense(attempts: int, first_s: float, longest_s: float) -> None:
    """At least one attempt, and delays that grow."""
    with pytest.raises(ValueError, match="max_attempts >= 1"):
        Retry(attempts, first_s, longest_s)


def test_a_request_can_be_made_alone() -> None:
    """For those who send it by other means."""
    request = inspect_request(b"x", task="bread", policy=pb.CascadePolicy(max_tier="fast"))
    assert (request.task, request.policy.max_tier) == ("tasks/bread", "fast")
