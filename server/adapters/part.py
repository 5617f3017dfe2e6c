"""What the parts of a file have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A part of a file; it can be read off the domain's own object, attribute by attribute."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)
