"""Which releases to serve where no state says otherwise: of each task, the highest number."""

from pathlib import Path

from server.adapters.release_files import find_releases, load_release
from server.domain.release import Release


def load_newest_releases(model_repository: Path) -> tuple[Release, ...]:
    """Reads and verifies the newest release of every task in a model repository.

    Raises:
        ReleaseRefusedError: One of them must not be served; an older one never takes its place unseen.
    """
    newest = {each.task: each for each in sorted(find_releases(model_repository))}
    return tuple(load_release(model_repository, each.task, each.number) for each in newest.values())
