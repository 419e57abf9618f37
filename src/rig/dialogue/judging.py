"""The conversation in which a plan is judged: what is observed, the plan, its dreams, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rig.actions import ActionSpace
from rig.dialogue.learned import USUAL, Learned
from rig.dialogue.lookahead import as_came, dreamed_turn, reread
from rig.dialogue.prompt import (
    JUDGEMENT,
    VERDICT,
    PromptFormat,
    answer_prefix,
    ask_about,
    fixed_phrase,
    reject_phrases,
    told,
)
from rig.dialogue.segments import End, Role, Segment, Text
from rig.errors import DialogueError
from rig.records import Dream, Judgement, Observation, Step


def judge_conversation(
    step: Step, space: ActionSpace, prompt_format: PromptFormat, learned: Learned = USUAL
) -> list[Segment]:
    """Return the conversation in which a plan is judged: what is observed, the plan, its dreams, and what it is worth.

    The plan is context: it may be a bad one. What comes of it is learned where it is known, as in a lookahead.

    Raises:
        DialogueError: the step has no judgement, or a dream lacks what the format reads of it.
    """
    if step.judgement is None:
        raise DialogueError(f"step {step.index} has no judgement; it is no branch, or nothing is known of its worth")
    asked = asked_to_judge(step, space, prompt_format, learned)
    return [*asked, *judged(step.judgement, weight=learned.judgement, term=learned.verdict)]


def asked_to_judge(
    step: Step, space: ActionSpace, prompt_format: PromptFormat, learned: Learned = USUAL
) -> list[Segment]:
    """Return a conversation up to the judgement: what is observed, a plan, its dreams, and the last question.

    A step without dreams is asked about too: then state and action are all that is judged.

    Args:
        step: the plan's thought and action are its own, or those of its first dream.
        space: the world's action space.
        prompt_format: the fields that the model speaks.
        learned: what of the dreams is learned.

    Raises:
        DialogueError: as for `asked_to_review`.
    """
    segments = ask_about(step, space, prompt_format)
    dreams = step.dreams if prompt_format.dream else ()
    weights = learned.turns(step, "judge")
    for number, dream in enumerate(dreams, 1):
        segments += dreamed_turn(dream, space, prompt_format, weights[number - 1])
        look = ask_worth if number == len(dreams) else reread
        segments += look(as_came(dreams[:number]), step, space, prompt_format)
    if not dreams:
        segments += [*answer_prefix(prompt_format), *told(step.thought, space.format(step.action), prompt_format)]
        segments += ask_worth([Dream(thought=step.thought, action=step.action)], step, space, prompt_format)
    return segments


def ask_worth(
    dreams: Sequence[Dream], seen: Observation | Step, space: ActionSpace, prompt_format: PromptFormat
) -> list[Segment]:
    """Return what stands between a plan and its judgement, the phrase that opens it included.

    The last dream is read back as for a review. Of a plan without one the turn ends with its action, and it is asked
    about as a plan of an agent that does not dream.

    Args:
        dreams: the plan's, first to last; where the last holds neither frame nor codes, nothing was dreamed.
        seen: what was observed before all dreams.
        space: the world's action space.
        prompt_format: the fields that the model speaks.

    Raises:
        DialogueError: the format reads pixels and the last dream has codes alone.
    """
    opening, dream = fixed_phrase(JUDGEMENT, aligned=True), dreams[-1]
    if prompt_format.dream and not (dream.frame is None and dream.codes is None):
        return [*reread(dreams, seen, space, prompt_format, review=True), opening]
    ended = [End()] if prompt_format.dream else []
    return [*ended, *reread(dreams, seen, space, replace(prompt_format, dream=False), review=True), opening]


def judged(judgement: Judgement, *, weight: float = 0.0, term: float = 0.0) -> list[Segment]:
    """Return the model's turn behind the phrase that opens a judgement; `weight` and `term`: of words and verdict.

    Raises:
        DialogueError: the words hold one of the fixed phrases.
    """
    reject_phrases("judgement", judgement.outcome)
    return [
        Text(text=judgement.outcome, role=Role.THOUGHT, weight=weight),
        Text(text=VERDICT, role=Role.THOUGHT, literal=True, weight=weight),
        Text(text=judgement.term, role=Role.ACTION, literal=True, weight=term),
        End(weight=weight),
    ]


def judgement_text(judgement: Judgement) -> str:
    """Return a judgement as it is said, for people to read."""
    return f"{judgement.outcome}{VERDICT}{judgement.term}".strip()
