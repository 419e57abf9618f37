"""Key and camera action spaces, their exact text codec, and the grammar that keeps decoding inside them."""

from rig.actions.cameras import MAX_TURN, CameraRounding
from rig.actions.grammar import ActionGrammar
from rig.actions.spaces import ACTION_SPACES, CRAFTER, MINERL
from rig.actions.text import NOOP, Action, ActionSpace, Camera

__all__ = [
    "ACTION_SPACES",
    "CRAFTER",
    "MAX_TURN",
    "MINERL",
    "NOOP",
    "Action",
    "ActionGrammar",
    "ActionSpace",
    "Camera",
    "CameraRounding",
]
