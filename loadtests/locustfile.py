"""A Locust user on the generated stubs: the mix of `slo.toml`, at a constant rate, with an exit code.

`make load` runs it against a gateway of its own. Against another one:

    locust -f loadtests/locustfile.py --headless --host HOST:PORT --inspect cannabis

Users only carry requests: when each is due stands in the plan. Importing Locust changes the
standard library of the whole process, so nothing else may import this file.
"""

import time
from argparse import Namespace
from pathlib import Path
from typing import Any, ClassVar, cast

import grpc
import grpc.experimental.gevent as grpc_gevent
from locust import LoadTestShape, User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.exception import StopUser
from rich.console import Console

from loadtests.errors import LoadTestError
from loadtests.load_run import LoadRun
from loadtests.load_tables import show
from loadtests.photos import find_photos
from loadtests.plan import DEFAULT_PLAN, read_plan
from loadtests.served import ServedTask
from loupe.v1 import task_service_pb2 as task_pb
from loupe.v1.inspection_service_pb2_grpc import InspectionServiceStub
from loupe.v1.task_service_pb2_grpc import TaskServiceStub
from server.triton.wire import CHANNEL_OPTIONS

_CONNECT_TIMEOUT_S = 30.0
_FINISH_S = 2.0

grpc_gevent.init_gevent()


class InspectionUser(User):
    """Carries one request at a time, whichever is due next."""

    run_now: ClassVar[LoadRun]
    """The test that all users carry requests for."""

    @task
    def inspect(self) -> None:
        """Takes the next request, waits until it is due, and sends it."""
        arrival = self.run_now.take()
        if arrival is None:
            raise StopUser
        time.sleep(max(0.0, arrival.due_s - time.perf_counter()))  # Locust has made this give way to other users
        outcome = self.run_now.send(arrival)
        self.environment.events.request.fire(
            request_type="gRPC",
            name=outcome.kind,
            response_time=outcome.latency_ms,
            response_length=0,
            exception=RuntimeError(outcome.code) if outcome.failed else None,
            context={},
        )


class Steady(LoadTestShape):
    """As many users as the plan allows requests in flight, until all requests have come back."""

    user_count: ClassVar[int]

    def tick(self) -> tuple[int, float] | None:
        """Returns the number of users, and how many are made a second."""
        return None if InspectionUser.run_now.is_over() else (self.user_count, self.user_count)


def add_options(parser: LocustArgumentParser) -> None:
    """Adds this file's own options to Locust's."""
    group = parser.add_argument_group("Loupe")
    group.add_argument("--inspect", default="cannabis", metavar="TASK", help="The task to ask for.")
    group.add_argument("--plan", type=Path, default=DEFAULT_PLAN, help="The mix and its limits.")
    group.add_argument("--rate", type=float, help="Requests a second; the plan's own by default.")
    group.add_argument("--seconds", type=float, help="What is measured; the plan's own by default.")
    group.add_argument("--photos", type=Path, help="A folder of photos to send.")
    group.add_argument("--dataset", type=Path, help="A rendered dataset; data/TASK by default.")
    group.add_argument("--repository", type=Path, default=Path("model_repository"), help="Holds bundled photos.")
    group.add_argument("--report", type=Path, default=Path("build/load.json"), help="Where the figures go.")


def prepare(environment: Environment, **_: Any) -> None:
    """Asks the gateway what it serves, and makes the requests' photos."""
    options = _options(environment)
    plan = read_plan(options.plan, per_second=options.rate, seconds=options.seconds)
    channel = grpc.insecure_channel(options.host, options=CHANNEL_OPTIONS)
    request = task_pb.GetTaskRequest(task=f"tasks/{options.inspect}")
    served = TaskServiceStub(channel).GetTask(request, timeout=_CONNECT_TIMEOUT_S, wait_for_ready=True)
    task_served = ServedTask.of(served.task)
    photos = find_photos(
        options.photos,
        dataset=options.dataset or Path("data") / options.inspect,
        release=task_served.folder(options.repository),
        seed=plan.arrivals.seed,
    )
    Steady.user_count = plan.arrivals.at_most_in_flight
    InspectionUser.run_now = LoadRun(plan, task_served, photos, InspectionServiceStub(channel))
    environment.stop_timeout = _FINISH_S


def begin(**_: Any) -> None:
    """Starts the clock with Locust's own."""
    InspectionUser.run_now.begin()


def finish(environment: Environment, **_: Any) -> None:
    """Writes and prints the report, and sets the exit code."""
    report = InspectionUser.run_now.report()
    path: Path = _options(environment).report
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    show(Console(), report, path=path)
    environment.process_exit_code = 0 if report.holds else 1


def _options(environment: Environment) -> Namespace:
    """Returns what was said on Locust's command line."""
    if environment.parsed_options is None:
        raise LoadTestError("this file is run by Locust's own command:\n  locust -f loadtests/locustfile.py")
    return cast("Namespace", environment.parsed_options)


events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]
events.init.add_listener(prepare)  # type: ignore[no-untyped-call]
events.test_start.add_listener(begin)  # type: ignore[no-untyped-call]
events.quitting.add_listener(finish)  # type: ignore[no-untyped-call]
