"""Tracking: joins the windows of a video into tracks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ifc_bench.tracking.clip_tracker import ClipTracker
    from ifc_bench.tracking.video import Tracking, track_in_one_pass, track_video

__all__ = ["ClipTracker", "Tracking", "track_in_one_pass", "track_video"]

_MODULES = {
    "ClipTracker": "clip_tracker",
    "Tracking": "video",
    "track_in_one_pass": "video",
    "track_video": "video",
}


def __getattr__(name: str) -> Any:
    """Import the tracker on first use: `tracking.windows` must be importable without torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
