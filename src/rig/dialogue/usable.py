"""What a conversation needs of a step, looked at before anything is trained on it: `flaw` says what is not there.

Only texts, and whether images are there, are looked at; no pixel is.
"""

from __future__ import annotations

from collections.abc import Iterator

from rig.dialogue.learned import DREAMED_ABOUT, USUAL, Learned, Style
from rig.dialogue.prompt import PromptFormat, held_phrase, is_unseen
from rig.errors import DialogueError
from rig.records import Dream, Step, next_codes_of

HELD_PHRASE = "with a fixed phrase of the prompt in a text"
EMPTY = "with an empty thought"
NO_THOUGHT = "without a thought"
NO_NEXT_FRAME = "without a next frame"
NO_REVIEW = "without dreams and a review"
NO_DREAMED_FRAME = "with a dream that has no frame"
NO_JUDGEMENT = "without a judgement"
DREAMED_ALONE = "of noise or practice, where nothing is dreamed"
UNLEARNED = "of which nothing is learned"


def flaw(step: Step, style: Style, prompt_format: PromptFormat, learned: Learned = USUAL) -> str | None:
    """Return why `step` cannot be learned as `style`, as in "3 steps without a thought"; None if it can.

    Args:
        step: the step, with its codes where the format dreams.
        style: as what.
        prompt_format: the fields that the model speaks.
        learned: what of it is learned.
    """
    if not learned.anything(step, style, dreams=prompt_format.dream):
        return DREAMED_ALONE if step.actor in DREAMED_ABOUT else UNLEARNED
    if style == "describe":
        return _flaw_of_thought(step.thought)
    if style == "lookahead":
        return _flaw_of_lookahead(step, prompt_format)
    if style == "judge":
        return _flaw_of_judged(step, prompt_format)
    return _flaw_of_answer(step, step.thought, prompt_format, may_be_unseen=True)


def refuse_unspeakable(step: Step) -> None:
    """Raise where a text of `step`, its dreams or its review can stand in no conversation.

    Raises:
        DialogueError: the instruction, a thought or the review's holds a fixed phrase, or a thought is empty.
    """
    for name, text in _texts(step):
        held = None if text is None else held_phrase(text)
        if held is not None:
            raise DialogueError(f"the {name} {_shortened(text)} holds the fixed phrase {held!r}; reword it")
        if text is not None and not text.strip() and name != "instruction":
            raise DialogueError(f"the {name} is empty; leave it out where there is none")


def _texts(step: Step) -> Iterator[tuple[str, str | None]]:
    yield "instruction", step.instruction
    yield "thought", step.thought
    for dream in step.dreams:
        yield "thought of a dream", dream.thought
    if step.review is not None:
        yield "thought of the review", step.review.thought


def _flaw_of_lookahead(step: Step, prompt_format: PromptFormat) -> str | None:
    if not step.dreams or step.review is None:
        return NO_REVIEW
    for dream in step.dreams if prompt_format.dream else step.dreams[:1]:
        if found := _flaw_of_plan(dream.thought, prompt_format) or _flaw_of_dream(dream, prompt_format):
            return found
    return _flaw_of_answer(step, step.review.thought, prompt_format)


def _flaw_of_judged(step: Step, prompt_format: PromptFormat) -> str | None:
    if step.judgement is None:
        return NO_JUDGEMENT
    if held_phrase(step.instruction) is not None or held_phrase(step.judgement.outcome) is not None:
        return HELD_PHRASE
    if not (step.dreams and prompt_format.dream):
        return _flaw_of_plan(step.thought, prompt_format)
    flaws = (
        _flaw_of_plan(dream.thought, prompt_format) or _flaw_of_dream(dream, prompt_format) for dream in step.dreams
    )
    return next((found for found in flaws if found), None)


def _flaw_of_plan(thought: str | None, prompt_format: PromptFormat) -> str | None:
    """Return the flaw of a thought that is context alone, and may be empty."""
    found = _flaw_of_thought(thought) if prompt_format.thought else None
    return None if found == EMPTY else found


def _flaw_of_dream(dream: Dream, prompt_format: PromptFormat) -> str | None:
    frame = dream.frame if dream.real_frame is None else dream.real_frame
    codes = dream.codes if dream.real_codes is None else dream.real_codes
    lacks = prompt_format.dream and (codes is None or (prompt_format.read_back == "pixels" and frame is None))
    return NO_DREAMED_FRAME if lacks else None


def _flaw_of_answer(
    step: Step, thought: str | None, prompt_format: PromptFormat, *, may_be_unseen: bool = False
) -> str | None:
    if held_phrase(step.instruction) is not None:
        return HELD_PHRASE
    if prompt_format.thought and (found := _flaw_of_thought(thought)):
        return found
    lacks = prompt_format.dream and next_codes_of(step) is None
    return NO_NEXT_FRAME if lacks and not (may_be_unseen and is_unseen(step)) else None


def _flaw_of_thought(thought: str | None) -> str | None:
    if thought is None:
        return NO_THOUGHT
    if not thought.strip():
        return EMPTY
    return None if held_phrase(thought) is None else HELD_PHRASE


def _shortened(text: str | None) -> str:
    text = text or ""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
