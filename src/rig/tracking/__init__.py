"""Who keeps what runs log, for people to look at: TensorBoard, trackio, Weights & Biases, or a tracker of one's own."""

from rig.tracking.base import (
    TRACKERS,
    TRACKING_FILE,
    TrackedRun,
    Tracker,
    Tracking,
    numbers_in,
    track_scores,
    trackers_named,
)
from rig.tracking.packages import TensorBoard, Trackio, WandB

__all__ = [
    "TRACKERS",
    "TRACKING_FILE",
    "TensorBoard",
    "TrackedRun",
    "Tracker",
    "Trackio",
    "Tracking",
    "WandB",
    "numbers_in",
    "track_scores",
    "trackers_named",
]
