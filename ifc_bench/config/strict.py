"""Base class of configuration values: frozen, unknown fields refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Frozen value; an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
