"""The releases in memory: which one answers for each task. Changed between requests, never within one."""

from collections.abc import Collection

from server.domain.errors import UnknownTaskError
from server.domain.release import Release

_MAX_KNOWN_TASKS = 20


class Catalog:
    """Holds the active release of each task; a request keeps the release that it began with."""

    def __init__(self) -> None:
        """Begins empty."""
        self._active: dict[str, Release] = {}

    def activate(self, release: Release) -> None:
        """Lets a release answer for its task, in place of the one that did."""
        self._active = dict(sorted((self._active | {release.task.id: release}).items()))

    def active(self, task_id: str) -> Release:
        """Returns the release that answers for a task.

        Raises:
            UnknownTaskError: No release of this task is being served.
        """
        try:
            return self._active[task_id]
        except KeyError:
            raise UnknownTaskError(task_id, known=tuple(self._active)[:_MAX_KNOWN_TASKS]) from None

    def releases(self) -> tuple[Release, ...]:
        """Returns the active releases, by task id."""
        return tuple(self._active.values())

    def task_ids(self) -> Collection[str]:
        """Returns the ids of the tasks that are served, sorted."""
        return self._active.keys()
