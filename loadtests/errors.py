"""What keeps a load test from being made; each says what to do about it."""

from pathlib import Path


class LoadTestError(Exception):
    """The test cannot be made, or its figures would mean nothing."""


class NoPhotosError(LoadTestError):
    """A folder holds no photos."""

    def __init__(self, folder: Path) -> None:
        """Names the folder."""
        super().__init__(f"{folder} holds no photos.\nPass a folder of JPEG, PNG, WebP or HEIF files to --photos.")
        self.folder = folder


class PlanRefusedError(LoadTestError):
    """The file of the mix and its limits breaks rules."""

    def __init__(self, path: Path, findings: tuple[str, ...]) -> None:
        """Names all of them."""
        super().__init__(f"{path} is refused:\n" + "\n".join(f"  {each}" for each in findings))
        self.path = path
        self.findings = findings


class WrongTierError(LoadTestError):
    """An answer came from another tier than the one that is measured."""

    def __init__(self, wanted: str, answered: str) -> None:
        """Names both."""
        super().__init__(f"{answered} answered where {wanted} was to be measured.\nIs {wanted} available?")
        self.wanted = wanted
        self.answered = answered


class LocustFailedError(LoadTestError):
    """Locust ended without a report."""

    def __init__(self, exit_code: int, log: Path) -> None:
        """Names the exit code, and where Locust said why."""
        super().__init__(f"Locust ended with exit code {exit_code} and left no report.\nSee {log}.")
        self.exit_code = exit_code
        self.log = log


class GatewayFailedError(LoadTestError):
    """The gateway that was to be measured did not serve, or did not end as it should."""

    def __init__(self, what: str) -> None:
        """Says what happened; the gateway itself has said why."""
        super().__init__(f"The gateway {what}.\nWhat it wrote stands above; `make serve` runs it alone.")
