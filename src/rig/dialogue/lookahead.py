"""The conversation of a lookahead: what is observed, what was proposed, its dreams, and the review that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rig.actions import ActionSpace
from rig.dialogue.learned import USUAL, Learned, TurnWeights
from rig.dialogue.prompt import PromptFormat, answer, ask, ask_about, told_actions
from rig.dialogue.segments import Segment
from rig.errors import DialogueError
from rig.records import Dream, Observation, Step, next_codes_of


def lookahead_conversation(
    step: Step, space: ActionSpace, prompt_format: PromptFormat, learned: Learned = USUAL
) -> list[Segment]:
    """Return the conversation of one step with its dreams and its review.

    The proposals (Y⁻, A⁻) are context, but for a first one that the review keeps: it is learned like the answer of a
    single turn, which it is. Where the engine's real frame is known, it stands for the dream: the dream is learned
    against it, and the review, which is learned too, looks at it. A review that is shown what a worse dreamer saw
    learns that dreams tell nothing. Without dreams (`prompt_format.dream` false: the control) the first proposal is
    reviewed as it stands.

    Raises:
        DialogueError: the step has no dreams or no review.
    """
    if not step.dreams or step.review is None:
        raise DialogueError(f"step {step.index} has no dreams or no review; it is not a lookahead step")
    review, weights = step.review, learned.turns(step, "lookahead")[-1]
    return [
        *asked_to_review(step, space, prompt_format, learned),
        *answer(
            review.thought,
            space.format(review.action),
            next_codes_of(step),
            prompt_format,
            review=True,
            weights=weights,
        ),
    ]


def asked_to_review(
    step: Step, space: ActionSpace, prompt_format: PromptFormat, learned: Learned = USUAL
) -> list[Segment]:
    """Return a lookahead up to its review: what is observed, what was proposed, its dreams, and the last question.

    Args:
        step: the step with its dreams, as in `lookahead_conversation`.
        space: the world's action space.
        prompt_format: the fields the model speaks.
        learned: what of the proposals and dreams is learned.

    Raises:
        DialogueError: the format reads pixels and a dream has none, or it dreams and one has no codes.
    """
    segments = ask_about(step, space, prompt_format)
    dreams = step.dreams if prompt_format.dream else step.dreams[:1]
    weights = learned.turns(step, "lookahead")
    for number, dream in enumerate(dreams, 1):
        segments += dreamed_turn(dream, space, prompt_format, weights[number - 1])
        segments += reread(as_came(dreams[:number]), step, space, prompt_format, review=number == len(dreams))
    return segments


def reread(
    dreams: Sequence[Dream],
    seen: Observation | Step,
    space: ActionSpace,
    prompt_format: PromptFormat,
    *,
    review: bool = False,
) -> list[Segment]:
    """Return the human turn in which the last dream is looked at; without one (the control), its text alone.

    Args:
        dreams: what was dreamed so far, first to last.
        seen: what was observed before all dreams.
        space: the world's action space.
        prompt_format: the fields the model speaks.
        review: True for the turn that the review answers; it is about what was observed, where the format says so.

    Raises:
        DialogueError: the format reads pixels and the dream has none.
    """
    dream, in_pixels = dreams[-1], prompt_format.dream and prompt_format.read_back == "pixels"
    if in_pixels and dream.frame is None:
        raise DialogueError("a dream without pixels cannot be read back as pixels; decode its codes first")
    again = review and prompt_format.reobserve
    dreamed = () if again else tuple(one.action for one in reversed(dreams))
    return ask(
        dream.frame if in_pixels else None,
        seen.instruction,
        told_actions((*dreamed, *seen.executed), space, prompt_format),
        prompt_format,
        imagined=True,
        observed=seen.frame if again else None,
    )


def as_came(dreams: Sequence[Dream]) -> list[Dream]:
    """Return the dreams as they should have been, where that is known."""
    return [dream if dream.real_frame is None else replace(dream, frame=dream.real_frame) for dream in dreams]


def dreamed_turn(dream: Dream, space: ActionSpace, prompt_format: PromptFormat, weights: TurnWeights) -> list[Segment]:
    """Return the model's turn that ends with a dream, as it should have been where that is known."""
    codes = dream.real_codes if dream.real_codes is not None else dream.codes
    return answer(dream.thought, space.format(dream.action), codes, prompt_format, weights=weights)
