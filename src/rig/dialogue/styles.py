"""Which conversation training shows a step as."""

from __future__ import annotations

from rig.actions import ActionSpace
from rig.dialogue.judging import judge_conversation
from rig.dialogue.learned import USUAL, Learned, Style
from rig.dialogue.lookahead import lookahead_conversation
from rig.dialogue.prompt import PromptFormat, basic_conversation, description_conversation
from rig.dialogue.segments import Segment
from rig.records import Step


def conversation_of(
    step: Step, style: Style, space: ActionSpace, prompt_format: PromptFormat, learned: Learned = USUAL
) -> list[Segment]:
    """Return the conversation in which training shows `step` as `style`; its segments weigh what `learned` says.

    Raises:
        DialogueError: the step lacks what the style needs.
    """
    if style == "lookahead":
        return lookahead_conversation(step, space, prompt_format, learned)
    if style == "describe":
        return description_conversation(step, prompt_format, learned)
    if style == "judge":
        return judge_conversation(step, space, prompt_format, learned)
    return basic_conversation(step, space, prompt_format, learned)
