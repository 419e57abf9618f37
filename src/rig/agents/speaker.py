"""How an agent speaks: what is the same for all of its decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rig.actions import ActionGrammar, ActionSpace
from rig.agents.said import Judging
from rig.dialogue import PromptFormat, SegmentEncoder, prompt
from rig.engine import ONE_BY_ONE, ActionConstraint, Engine, Sampler, Speculation, ThoughtConstraint


@dataclass(frozen=True, kw_only=True, eq=False)
class Speaker:
    """How an agent speaks, the same for all of its decisions.

    Attributes:
        engine: the model.
        encoder: its tokenizer and layout.
        space: the world's action space.
        prompt_format: the fields that it was trained to speak, and how it reads its dreams back.
        thought: what a thought may be.
        action: what an action may be.
        text: how thoughts and actions are drawn.
        image: how dreams are drawn.
        speculation: how their codes are found.
        log_probs: whether decisions say how likely the tokens of their texts were.
        verdict_of: reads off a review's thought what it says of its plan, "keep" or another; where given, a review that
            says so does what was planned, whatever it would have written.
        judging: what judgements may be; None of an agent that has not learned to say any.
    """

    engine: Engine
    encoder: SegmentEncoder
    space: ActionSpace
    prompt_format: PromptFormat
    thought: ThoughtConstraint
    action: ActionConstraint
    text: Sampler
    image: Sampler
    speculation: Speculation = ONE_BY_ONE
    log_probs: bool = False
    verdict_of: Callable[[str], str | None] | None = None
    judging: Judging | None = None

    @staticmethod
    def constraints(
        encoder: SegmentEncoder, space: ActionSpace, prompt_format: PromptFormat, thought_tokens: int
    ) -> tuple[ThoughtConstraint, ActionConstraint]:
        """Return what thoughts and actions may be."""
        tokenizer = encoder.tokenizer
        end = tokenizer.encode(prompt.NEXT_FRAME, literal=True) if prompt_format.dream else [tokenizer.eos]
        stop = tokenizer.encode(prompt.NEXT_ACTION, literal=True)
        return ThoughtConstraint(tokenizer, stop, thought_tokens), ActionConstraint(
            tokenizer, ActionGrammar(space), end
        )
