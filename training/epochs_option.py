"""The option `--epochs`: how long to train, and on photos of which size."""

from typing import Annotated

import typer
from pydantic import ValidationError

from training.recipe import StageSection

EpochsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N[@SHARE],...",
        help="Replaces the recipe's: 12, or 5@0.4,2@0.6,1, five of them at .4 of the input's side, and so on.",
    ),
]


def stages_of(epochs: str | None) -> tuple[StageSection, ...] | None:
    """Returns the stages that the option names, or None if it was not given.

    Raises:
        typer.BadParameter: It is no list of epochs, or its last stage is not of the served size.
    """
    if epochs is None:
        return None
    try:
        stages = tuple(_stage(each) for each in epochs.split(","))
    except (ValueError, ValidationError) as error:
        raise typer.BadParameter(f"{epochs!r} is neither a count nor a list such as 5@0.4,2@0.6,1") from error
    if stages[-1].input_share != 1:
        raise typer.BadParameter(f"{epochs!r} must end at the served size: add at least one epoch, such as ',1'")
    return stages


def _stage(text: str) -> StageSection:
    count, _, share = text.partition("@")
    return StageSection(epochs=int(count), input_share=float(share) if share else 1.0)
