"""Fast generation of interleaved text and images over a key-value cache; it speaks token ids only."""

from rig.engine.constrain import ActionConstraint, ChoiceConstraint, Constraint, ThoughtConstraint, longest_action
from rig.engine.engine import Engine
from rig.engine.sampling import GREEDY, Sampler
from rig.engine.speculation import ONE_BY_ONE, Speculation
from rig.engine.stream import Ended, Stream
from rig.engine.wishes import (
    Conversation,
    Fork,
    GeneratedImage,
    GeneratedText,
    GenerateImage,
    GenerateText,
    Guidance,
    Prefill,
    Program,
    Slot,
    WeighedImage,
    WeighImage,
)

__all__ = [
    "GREEDY",
    "ONE_BY_ONE",
    "ActionConstraint",
    "ChoiceConstraint",
    "Constraint",
    "Conversation",
    "Ended",
    "Engine",
    "Fork",
    "GenerateImage",
    "GenerateText",
    "GeneratedImage",
    "GeneratedText",
    "Guidance",
    "Prefill",
    "Program",
    "Sampler",
    "Slot",
    "Speculation",
    "Stream",
    "ThoughtConstraint",
    "WeighImage",
    "WeighedImage",
    "longest_action",
]
