"""The base of every configuration value: frozen, and strict about its fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen value; an unknown field is an error, never a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)
