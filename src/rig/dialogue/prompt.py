"""The conversation of the paper, and the only place where its phrases are written down.

Training items and inference prompts are built by the same functions. One step is

    system … human <image> … The current task: … The previous action: …
    rig    The reasoning: Y Next action: A, and next frame: <image>

and a lookahead continues it: each dream becomes the `<image>` of a further human turn, marked `<Imagine:>`, until the
turn that begins with "Wait! Let's re-observe..." revises the action (specification section 2). What it re-observes, the
frame from before all dreams, stands once more in the human turn that it answers (`PromptFormat.reobserve`). Where the
turn begins with "The judgement: " instead, it says where the plan leads and what that is worth
(`PromptFormat.judgement`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from rig.actions import Action, ActionSpace
from rig.dialogue.learned import IMITATED, USUAL, Learned, TurnWeights
from rig.dialogue.segments import End, ReadImage, Role, Segment, Text, WriteImage
from rig.errors import DialogueError
from rig.records import CORRECTION, MOST_EARLIER, Codes, Frame, Observation, Step, next_codes_of
from rig.validation import Meta, check_fields, is_unicode

MINECRAFT_LIKE = "a Minecraft-like task"
"""What agents are told that they reason about where their world says nothing else."""
OPENING = "system: You reason step by step about "
_CLOSING = ", act with keys and mouse, and imagine what the next frame will show.\n"
SYSTEM = OPENING + MINECRAFT_LIKE + _CLOSING
HUMAN = "human: "
HUMAN_AGAIN = "\nhuman: "
IMAGINE = "\n<Imagine:>"
ASK = {
    (True, True): (
        "\nReason about the action, predict the next action from the current frame, task and previous action, and "
        "generate the next frame.\nThe current task: "
    ),
    (True, False): (
        "\nReason about the action, and predict the next action from the current frame, task and previous action.\n"
        "The current task: "
    ),
    (False, True): (
        "\nPredict the next action from the current frame, task and previous action, and generate the next frame.\n"
        "The current task: "
    ),
    (False, False): ("\nPredict the next action from the current frame, task and previous action.\nThe current task: "),
}
DESCRIBE = "\nDescribe what the frame shows"
SHOWN = "The frame shows: "
PREVIOUS_ACTION = ".\nThe previous action: "
THEN = ";"
"""Between actions that are told, newest first: no action's text holds it, and small tokenizers have it as one token."""
RIG = ".\nrig: "
REASONING = "The reasoning: "
FIRST_ACTION = "Next action: "
NEXT_ACTION = " Next action: "
NEXT_FRAME = ", and next frame: "
REVIEW = "Wait! Let's re-observe... "
JUDGEMENT = "The judgement: "
VERDICT = " The verdict: "

LOST = ("0 lost", "1 lost", "2 lost", "3-4 lost", "5-8 lost", "9-16 lost", "more lost")
"""How many steps a plan loses against the best one."""
TO_GO = ("0 to go", "1 to go", "2 to go", "3-4 to go", "5-8 to go", "9-16 to go", "up to 32 to go", "more to go")
"""How many steps there still are to success behind a plan."""

LITERALS = (
    SYSTEM,
    HUMAN,
    HUMAN_AGAIN,
    IMAGINE,
    *ASK.values(),
    DESCRIBE,
    SHOWN,
    PREVIOUS_ACTION,
    RIG,
    REASONING,
    FIRST_ACTION,
    NEXT_ACTION,
    NEXT_FRAME,
    REVIEW,
    JUDGEMENT,
    VERDICT,
)
"""Every fixed phrase, each of which a small tokenizer may write as one token; the system phrase is that of a format
which says nothing else of the task (see `literals`)."""

TERMS = (*LOST, *TO_GO)
"""What verdicts say, each of which a small tokenizer may write as one token; a thought may hold such words too."""


@dataclass(frozen=True, kw_only=True)
class PromptFormat:
    """Which fields a model speaks, and how it reads its own dreams.

    Attributes:
        thought: whether turns reason before they act.
        dream: whether turns imagine the next frame.
        read_back: how a dream enters the next turn: decoded to "pixels" and read through the understanding encoder,
            or left in the context as the "codes" it was written in.
        reobserve: whether the turn of the review shows the observed frame again, behind the last dream, and asks about
            it. Without it the last image before the review is a dream, which a small model takes for the present.
        judgement: the scale on which the model says what a plan is worth (`rig.dialogue.SCALES`); None where it was not
            taught to.
        about: what the system phrase says that is reasoned about, a few words like "a board game"; None, which every
            format was before it could be said, is "a Minecraft-like task".
        history: how many of the actions that led here are told, newest first; in a dream, what was dreamed to be done
            is told before what really was. 1, which every format was before it could be said, is the last one alone.
    """

    thought: bool = True
    dream: bool = True
    read_back: Literal["pixels", "codes"] = "pixels"
    reobserve: bool = True
    judgement: Literal["lost", "to-go"] | None = None
    about: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    history: Annotated[int, Meta(ge=1, le=MOST_EARLIER + 1)] = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if self.about == MINECRAFT_LIKE:
            object.__setattr__(self, "about", None)
        if self.about is not None and not _can_stand(self.about):
            raise DialogueError(
                f"PromptFormat.about is {self.about!r}; give a few words, without what the prompt itself says"
            )


def _can_stand(about: str) -> bool:
    return is_unicode(about) and "\n" not in about and held_phrase(about) is None


def system_phrase(prompt_format: PromptFormat) -> str:
    """Return the first phrase of a conversation."""
    return SYSTEM if prompt_format.about is None else f"{OPENING}{prompt_format.about}{_CLOSING}"


def literals(prompt_format: PromptFormat) -> tuple[str, ...]:
    """Return every fixed phrase, with the system phrase of `prompt_format` in its place."""
    return tuple(system_phrase(prompt_format) if phrase == SYSTEM else phrase for phrase in LITERALS)


def ask(
    frame: Frame | None,
    instruction: str,
    previous_actions: str,
    prompt_format: PromptFormat,
    *,
    imagined: bool = False,
    observed: Frame | None = None,
) -> list[Segment]:
    """Return a human turn about `frame`, up to and including `rig: `.

    Args:
        frame: the observed or imagined frame; None where the dream's codes are already in the context.
        instruction: the task.
        previous_actions: what `told_actions` tells of the actions that led here.
        prompt_format: the fields the model speaks.
        imagined: True for a turn that continues a conversation after a dream, which is marked `<Imagine:>`, or, where
            the format does not dream (the control), after a first proposal, which is not.
        observed: the frame that was really observed, shown again behind the dream; the turn is then about it.
    """
    for name, text in (("instruction", instruction), ("previous action", previous_actions)):
        reject_phrases(name, text)
    opening = (
        [fixed_phrase(HUMAN_AGAIN)] if imagined else [fixed_phrase(system_phrase(prompt_format)), fixed_phrase(HUMAN)]
    )
    return [
        *opening,
        *_image(frame),
        *([fixed_phrase(IMAGINE)] if imagined and prompt_format.dream else []),
        *_image(observed),
        fixed_phrase(ASK[prompt_format.thought, prompt_format.dream]),
        Text(text=instruction),
        fixed_phrase(PREVIOUS_ACTION),
        Text(text=previous_actions, literal=True),
        fixed_phrase(RIG),
    ]


def told_actions(executed: Sequence[Action], space: ActionSpace, prompt_format: PromptFormat) -> str:
    """Return the text of the newest of the actions that led somewhere, as many as the format tells.

    Args:
        executed: the actions, newest first.
        space: the world's action space.
        prompt_format: says how many are told.
    """
    return THEN.join(map(space.format, executed[: prompt_format.history]))


def ask_about(seen: Observation | Step, space: ActionSpace, prompt_format: PromptFormat) -> list[Segment]:
    """Return the human turn that opens a conversation about what is observed, up to and including `rig: `."""
    return ask(seen.frame, seen.instruction, told_actions(seen.executed, space, prompt_format), prompt_format)


def answer_prefix(prompt_format: PromptFormat, *, review: bool = False) -> list[Segment]:
    """Return the phrases that open the model's turn, at an aligned position, and that it is never asked to predict."""
    first = REASONING if prompt_format.thought else FIRST_ACTION
    return [fixed_phrase(REVIEW, aligned=True), fixed_phrase(first)] if review else [fixed_phrase(first, aligned=True)]


def answer(
    thought: str | None,
    action: str,
    codes: Codes | None,
    prompt_format: PromptFormat,
    *,
    review: bool = False,
    is_unseen: bool = False,
    weights: TurnWeights = IMITATED,
) -> list[Segment]:
    """Return the model's turn: reasoning, action and next frame, as far as `prompt_format` has them.

    Args:
        thought: Y, needed where the format has thoughts.
        action: A as text.
        codes: P as VQ codes, needed where the format dreams.
        prompt_format: the fields the model speaks.
        review: True for the turn that begins with "Wait! Let's re-observe...".
        is_unseen: True for a turn that stops where the next frame would be, because nobody knows what came.
        weights: what the turn weighs in training.

    Raises:
        DialogueError: a field that the format needs is missing, or the thought holds one of the fixed phrases.
    """
    segments = [
        *answer_prefix(prompt_format, review=review),
        *told(thought, action, prompt_format, weight=weights.text),
    ]
    if not prompt_format.dream:
        return segments
    if is_unseen:
        return [*segments, End()]
    if codes is None:
        raise DialogueError(
            "this step has no codes of the next frame, yet the format dreams; tokenize the frames first"
        )
    return [*segments, WriteImage(codes=codes, weight=weights.image), End()]


def told(thought: str | None, action: str, prompt_format: PromptFormat, *, weight: float = 0.0) -> list[Segment]:
    """Return the thought and the action of the model's turn, behind the phrases that open it.

    Raises:
        DialogueError: the format reasons and there is no thought, or the thought holds one of the fixed phrases.
    """
    if not prompt_format.thought:
        return act(action, prompt_format, weight=weight)
    if thought is None:
        raise DialogueError("this step has no thought, yet the format reasons; run `rig reason` on the dataset first")
    return [*think(thought, weight=weight), *act(action, prompt_format, weight=weight)]


def think(thought: str, *, weight: float = 0.0) -> list[Segment]:
    """Return the thought of the model's turn, and what ends it; `weight`: of both in training.

    Raises:
        DialogueError: it holds one of the fixed phrases.
    """
    reject_phrases("thought", thought)
    said = Text(text=thought, role=Role.THOUGHT, weight=weight)
    return [said, Text(text=NEXT_ACTION, role=Role.THOUGHT, literal=True, weight=weight)]


def act(action: str, prompt_format: PromptFormat, *, weight: float = 0.0) -> list[Segment]:
    """Return the action of the model's turn, as text, and what ends it; `weight`: of both in training."""
    said = Text(text=action, role=Role.ACTION, literal=True, weight=weight)
    if not prompt_format.dream:
        return [said, End(weight=weight)]
    return [said, Text(text=NEXT_FRAME, role=Role.ACTION, literal=True, weight=weight)]


def basic_conversation(
    step: Step, space: ActionSpace, prompt_format: PromptFormat, learned: Learned = USUAL
) -> list[Segment]:
    """Return the conversation of one step without lookahead."""
    (weights,) = learned.turns(step, "basic")
    said = (step.thought, space.format(step.action), next_codes_of(step))
    return [
        *ask_about(step, space, prompt_format),
        *answer(*said, prompt_format, is_unseen=is_unseen(step), weights=weights),
    ]


def is_unseen(step: Step) -> bool:
    """Return whether nobody tried what `step` says: a correction, of which thought and action can be learned."""
    return step.actor == CORRECTION and step.next_frame is None and next_codes_of(step) is None


def description_conversation(step: Step, prompt_format: PromptFormat, learned: Learned = USUAL) -> list[Segment]:
    """Return a conversation in which the model says what one frame shows: no task, no action, no dream.

    It is how a small model gets what Janus brings along, eyes that know words; the description is the step's thought.

    Raises:
        DialogueError: the step has no thought, or the thought holds one of the fixed phrases.
    """
    if step.thought is None:
        raise DialogueError(f"step {step.index} has no description; run `rig reason` with a describing Reasoner first")
    reject_phrases("description", step.thought)
    (weights,) = learned.turns(step, "describe")
    return [
        fixed_phrase(system_phrase(prompt_format)),
        fixed_phrase(HUMAN),
        ReadImage(frame=step.frame),
        fixed_phrase(DESCRIBE),
        fixed_phrase(RIG),
        fixed_phrase(SHOWN, aligned=True),
        Text(text=step.thought, role=Role.THOUGHT, weight=weights.text),
        End(weight=weights.text),
    ]


def _image(frame: Frame | None) -> list[Segment]:
    return [] if frame is None else [ReadImage(frame=frame)]


def fixed_phrase(text: str, *, aligned: bool = False) -> Text:
    """Return a fixed phrase of the prompt as a segment."""
    return Text(text=text, literal=True, aligned=aligned)


def is_speakable(text: str | None) -> bool:
    """Return whether `text` can stand in a conversation: it holds none of the fixed phrases."""
    return text is None or held_phrase(text) is None


def reject_phrases(name: str, text: str) -> None:
    """Raise DialogueError where `text` holds a fixed phrase; `name` is what it is called."""
    held = held_phrase(text)
    if held is not None:
        raise DialogueError(f"the {name} {text!r} holds the fixed phrase {held!r}; reword it")


def held_phrase(text: str) -> str | None:
    """Return the first fixed phrase that `text` holds, or None."""
    return next((phrase.strip() for phrase in LITERALS if phrase.strip() in text), None)
