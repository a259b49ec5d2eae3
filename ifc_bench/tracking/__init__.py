"""From windows of a video to tracks."""

from ifc_bench.tracking.clip_tracker import ClipTracker
from ifc_bench.tracking.video import track_video

__all__ = ["ClipTracker", "track_video"]
