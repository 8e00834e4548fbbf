"""The base of our pydantic values: never changed once made, and without unknown fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Closed(BaseModel):
    """Base of values that are never changed and never hold unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)
