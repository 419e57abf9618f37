"""Recorded turns of the camera on the grid of an action space: what is rounded off goes into the next step.

Forty-five turns by 2 degrees are ninety degrees, though each of them alone rounds to nothing on a grid of 5.
"""

from __future__ import annotations

from rig.actions.text import Action, ActionSpace

MAX_TURN = 360
"""The largest turn of one step, in degrees, that a recording may hold."""


class CameraRounding:
    """Rounds the turns of one episode, step by step.

    Attributes:
        turns: steps that turned.
        rounded: of them, how many were not on the grid.
        left: degrees per axis that are turned too little so far, (pitch, yaw): half a bin at the most, but where a
            recorded turn exceeds what the space allows in a step; it then goes on in the next ones.
    """

    def __init__(self, space: ActionSpace) -> None:
        self._space = space
        self.turns = self.rounded = 0
        self.left = (0.0, 0.0)

    def quantise(self, keys: frozenset[str], turn: tuple[float, float]) -> Action:
        """Return the action with `turn` and what is left of those before it, on the grid."""
        wanted = (self.left[0] + turn[0], self.left[1] + turn[1])
        action = self._space.quantise(keys, wanted)
        self.left = (wanted[0] - action.camera[0], wanted[1] - action.camera[1])
        self.turns += any(turn)
        self.rounded += self._space.quantise(keys, turn).camera != turn
        return action
