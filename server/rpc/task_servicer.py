"""`loupe.v1.TaskService`: says which tasks are served."""

from loupe.v1 import task_service_pb2 as pb
from loupe.v1 import task_service_pb2_grpc as pb_grpc
from server.rpc import convert, validate
from server.rpc.interceptors import Context
from server.service.catalog import Catalog
from server.service.door import Door


class TaskServicer(pb_grpc.TaskServiceServicer):
    """Reads the catalog."""

    def __init__(self, catalog: Catalog, door: Door) -> None:
        """Speaks for a catalog while the door is open: before, it would deny what is about to be served."""
        self._catalog = catalog
        self._door = door

    async def ListTasks(  # noqa: D102, N802 -- the contract names and documents it
        self, request: pb.ListTasksRequest, _: Context
    ) -> pb.ListTasksResponse:
        size, after = validate.page(request)
        with self._door:
            rest = [each for each in self._catalog.releases() if each.task.id > after]
        tasks = [convert.task(each) for each in rest[:size]]
        return pb.ListTasksResponse(tasks=tasks, next_page_token=tasks[-1].name if len(rest) > size else "")

    async def GetTask(  # noqa: D102, N802 -- the contract names and documents it
        self, request: pb.GetTaskRequest, _: Context
    ) -> pb.GetTaskResponse:
        task_id = validate.task_id(request.task)
        with self._door:
            return pb.GetTaskResponse(task=convert.task(self._catalog.active(task_id)))
