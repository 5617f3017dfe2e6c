"""What can go wrong while Triton is set up, started and fed with models; each error says its cause and its cure.

Errors of single requests are domain errors and are translated in `server.triton.wire`.

    TritonSetupError           this machine or environment cannot run the embedded Triton
    ├── TritonStartError       Triton did not become ready
    └── ModelLoadError         Triton refused to load a model
"""


class TritonSetupError(Exception):
    """The embedded Triton cannot be set up.

    Attributes:
        cause: What was found, in one sentence.
        cure: What to do about it, in one sentence.
    """

    def __init__(self, cause: str, *, cure: str) -> None:
        """Says the cause on the first line and the cure on the second."""
        super().__init__(f"{cause}\n{cure}")
        self.cause = cause
        self.cure = cure


class TritonStartError(TritonSetupError):
    """Triton was started and did not become ready.

    Attributes:
        log_tail: The last lines that Triton wrote.
    """

    def __init__(self, cause: str, *, log_tail: str) -> None:
        """Keeps the end of Triton's log, which says why."""
        super().__init__(cause, cure=f"Triton's log ends with:\n{log_tail}" if log_tail else "Triton's log is empty.")
        self.log_tail = log_tail


class ModelLoadError(TritonSetupError):
    """Triton refused to load a model.

    Attributes:
        model: The model's name.
    """

    def __init__(self, model: str, detail: str) -> None:
        """Carries Triton's own words about the model."""
        super().__init__(
            f"Triton cannot load {model}: {detail}", cure="Verify the release's files, or serve an older release."
        )
        self.model = model
