"""A `Step` to a list of text and image segments, and segments to token ids: the one place where the prompt lives."""

from rig.dialogue.encoding import Kind, Layout, SegmentEncoder, TokenSequence
from rig.dialogue.judging import ask_worth, asked_to_judge, judge_conversation, judged, judgement_text
from rig.dialogue.learned import USUAL, Learned, RoleWeights, Style, TurnWeights
from rig.dialogue.lookahead import asked_to_review, lookahead_conversation, reread
from rig.dialogue.parse import parse_answer, parse_conversation
from rig.dialogue.prompt import (
    PromptFormat,
    act,
    answer,
    answer_prefix,
    ask,
    ask_about,
    basic_conversation,
    description_conversation,
    is_speakable,
    think,
    told,
    told_actions,
)
from rig.dialogue.scales import SCALES, Scale
from rig.dialogue.segments import End, ReadImage, Role, Segment, Text, WriteImage
from rig.dialogue.styles import conversation_of
from rig.dialogue.tokenizer import TextTokenizer, train_bpe
from rig.dialogue.usable import flaw, refuse_unspeakable
from rig.dialogue.weighing import review_of_plans
from rig.dialogue.written import as_written

__all__ = [
    "SCALES",
    "USUAL",
    "End",
    "Kind",
    "Layout",
    "Learned",
    "PromptFormat",
    "ReadImage",
    "Role",
    "RoleWeights",
    "Scale",
    "Segment",
    "SegmentEncoder",
    "Style",
    "Text",
    "TextTokenizer",
    "TokenSequence",
    "TurnWeights",
    "WriteImage",
    "act",
    "answer",
    "answer_prefix",
    "as_written",
    "ask",
    "ask_about",
    "ask_worth",
    "asked_to_judge",
    "asked_to_review",
    "basic_conversation",
    "conversation_of",
    "description_conversation",
    "flaw",
    "is_speakable",
    "judge_conversation",
    "judged",
    "judgement_text",
    "lookahead_conversation",
    "parse_answer",
    "parse_conversation",
    "refuse_unspeakable",
    "reread",
    "review_of_plans",
    "think",
    "told",
    "told_actions",
    "train_bpe",
]
