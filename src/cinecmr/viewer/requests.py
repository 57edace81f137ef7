"""What the page may ask to be changed; anything else is refused before it is looked at."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Plane(_Strict):
    """The labels of one plane, rows as the screen shows them, one byte a pixel, base64."""

    slice: int = Field(ge=0)
    frame: int = Field(ge=0)
    tool: str = Field(max_length=40, pattern=r"^[a-z ]*$")
    labels: str


class Frames(_Strict):
    """ED and ES of both ventricles; null leaves it to the curves."""

    ed: int | None = Field(default=None, ge=0)
    es: int | None = Field(default=None, ge=0)
