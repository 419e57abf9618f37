"""A `Step` to a list of text and image segments, and segments to token ids: the one place where the prompt lives."""

from rig.dialogue.encoding import Kind, Layout, SegmentEncoder, TokenSequence
from rig.dialogue.parse import parse_answer, parse_conversation
from rig.dialogue.prompt import (
    Format,
    act,
    answer,
    answer_prefix,
    ask,
    asked_to_review,
    basic_conversation,
    description_conversation,
    is_speakable,
    lookahead_conversation,
    reread,
    told,
)
from rig.dialogue.segments import End, ReadImage, Role, Segment, Text, WriteImage
from rig.dialogue.tokenizer import TextTokenizer, train_bpe
from rig.dialogue.usable import flaw, refuse_unspeakable

__all__ = [
    "End",
    "Format",
    "Kind",
    "Layout",
    "ReadImage",
    "Role",
    "Segment",
    "SegmentEncoder",
    "Text",
    "TextTokenizer",
    "TokenSequence",
    "WriteImage",
    "act",
    "answer",
    "answer_prefix",
    "ask",
    "asked_to_review",
    "basic_conversation",
    "description_conversation",
    "flaw",
    "is_speakable",
    "lookahead_conversation",
    "parse_answer",
    "parse_conversation",
    "refuse_unspeakable",
    "reread",
    "told",
    "train_bpe",
]
