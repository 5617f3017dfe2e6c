"""`loupe.v1.TaskService`: says which tasks are served."""

from loupe.v1 import task_service_pb2 as pb
from loupe.v1 import task_service_pb2_grpc as pb_grpc
from server.rpc import convert, validate
from server.rpc.interceptors import Context
from server.service.catalog import Catalog


class TaskServicer(pb_grpc.TaskServiceServicer):
    """Reads the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        """Speaks for a catalog of releases."""
        self._catalog = catalog

    async def ListTasks(  # noqa: D102, N802 -- the contract names and documents it
        self, request: pb.ListTasksRequest, _: Context
    ) -> pb.ListTasksResponse:
        size, after = validate.page(request)
        rest = [each for each in self._catalog.releases() if each.task.id > after]
        tasks = [convert.task(each) for each in rest[:size]]
        return pb.ListTasksResponse(tasks=tasks, next_page_token=tasks[-1].name if len(rest) > size else "")

    async def GetTask(  # noqa: D102, N802 -- the contract names and documents it
        self, request: pb.GetTaskRequest, _: Context
    ) -> pb.GetTaskResponse:
        return pb.GetTaskResponse(task=convert.task(self._catalog.active(validate.task_id(request.task))))
