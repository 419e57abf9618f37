"""Fast generation of interleaved text and images over a key-value cache; it speaks token ids only."""

from rig.engine.constrain import ActionConstraint, Constraint, ThoughtConstraint, longest_action
from rig.engine.engine import Engine
from rig.engine.guessing import ONE_BY_ONE, Guessing
from rig.engine.sampling import GREEDY, Sampler
from rig.engine.session import Session, WrittenImages
from rig.engine.stream import Conversation, Draw, Drawn, Ended, Place, Read, Speak, Stream
from rig.engine.writing import Guide

__all__ = [
    "GREEDY",
    "ONE_BY_ONE",
    "ActionConstraint",
    "Constraint",
    "Conversation",
    "Draw",
    "Drawn",
    "Ended",
    "Engine",
    "Guessing",
    "Guide",
    "Place",
    "Read",
    "Sampler",
    "Session",
    "Speak",
    "Stream",
    "ThoughtConstraint",
    "WrittenImages",
    "longest_action",
]
