"""What a client and a server of decisions say to each other, in msgpack over a websocket and in JSON over HTTP.

A server begins with an `About`. Every `Ask` is answered, in its turn, by a `Said` or by a `Refused`. Frames go there as
PNG or, in msgpack, as arrays in the way of openpi's clients, and come back as PNG. Actions are texts of the agent's
action space, which `About` has.
"""

from __future__ import annotations

from io import BytesIO
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from PIL import Image

from rig.actions import ActionSpace
from rig.errors import RigError
from rig.records import MOST_EARLIER, Cost, Decision, Dream, Frame, Plan, Review
from rig.validation import parse_as, shown

PROTOCOL = 1
"""Raised where a client of before could not read what is said."""

MOST_PIXELS = 1 << 22
"""Of a frame, however few bytes it is packed in."""

ActionText = Annotated[str, Meta(max_length=1000)]


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """A message: plain types, every field checked, none unknown."""


class Asked(Message, frozen=True, kw_only=True):
    """What is asked, but for the frame.

    Attributes:
        instruction: the task as text.
        previous_action: what was executed last; None is what was decided last in this session, and nothing at its
            start.
        earlier_actions: what was executed before that, newest first; None is what this session knows of it.
        seed: the decision follows from what is seen and from this alone; None takes the next of the session's own,
            which begin anew with each session.
        reset: begin a new episode first: what was executed before is forgotten.
    """

    instruction: Annotated[str, Meta(max_length=100_000)]
    previous_action: ActionText | None = None
    earlier_actions: Annotated[tuple[ActionText, ...], Meta(max_length=MOST_EARLIER)] | None = None
    seed: Annotated[int, Meta(ge=0, lt=1 << 32)] | None = None
    reset: bool = False


class Ask(Asked, frozen=True, kw_only=True):
    """What is asked over HTTP.

    Attributes:
        frame: what is seen: a PNG, in base64.
    """

    frame: bytes


class PackedAsk(Asked, frozen=True, kw_only=True):
    """What is asked over a websocket.

    Attributes:
        frame: what is seen, still packed: a PNG, or an array uint8 [H, W, 3] (`array_map`).
    """

    frame: msgspec.Raw


MOST_DREAMS = 64
"""Frames that are dreamed for one question."""


class AskedDreams(Message, frozen=True, kw_only=True):
    """What is asked of the agent's imagination, but for the frame.

    Attributes:
        actions: what is done, one after the other.
        thoughts: what is thought before each; None is nothing.
        instruction: the task as text; none is needed.
    """

    actions: Annotated[tuple[ActionText, ...], Meta(min_length=1, max_length=MOST_DREAMS)]
    thoughts: Annotated[tuple[Annotated[str, Meta(max_length=10_000)], ...], Meta(max_length=MOST_DREAMS)] | None = None
    instruction: Annotated[str, Meta(max_length=100_000)] = ""


class AskDreams(AskedDreams, frozen=True, kw_only=True):
    """The same over HTTP.

    Attributes:
        frame: where it begins: a PNG, in base64.
    """

    frame: bytes


class PackedAskDreams(AskedDreams, frozen=True, kw_only=True):
    """The same over a websocket: what it asks is told by its `actions`.

    Attributes:
        frame: where it begins, still packed; as of a `PackedAsk`.
    """

    frame: msgspec.Raw


_PARTS = {"__ndarray__": bool, "data": bytes, "dtype": str, "shape": tuple[int, int, int]}
"""Of an array as openpi's clients pack it, whose names are bytes there, and may be texts here."""


class SaidDream(Message, frozen=True, kw_only=True):
    """A `Dream`, its frame as a PNG."""

    thought: str | None
    action: str
    frame: bytes | None = None
    codes: list[int] | None = None
    entropy: float | None = None


class SaidDreams(Message, frozen=True, kw_only=True, tag_field="kind", tag="dreams"):
    """What was dreamed to come of the actions, a dream for each."""

    dreams: list[SaidDream]


class SaidPlan(Message, frozen=True, kw_only=True):
    """A `Plan`."""

    thought: str | None
    action: str
    dreams: list[SaidDream] = []
    votes: int = 1
    score: float | None = None
    judgement: str | None = None


class SaidReview(Message, frozen=True, kw_only=True):
    """A `Review`."""

    thought: str | None
    action: str
    helped: bool = False


class Said(Message, frozen=True, kw_only=True, tag_field="kind", tag="decision"):
    """A `Decision`, and the seed that it follows from."""

    action: str
    thought: str | None
    plans: list[SaidPlan]
    chosen: int
    review: SaidReview | None
    cost: dict[str, float]
    seed: int


class Refusal(Message, frozen=True, kw_only=True):
    """Why nothing was decided.

    Attributes:
        code: "bad_message", "too_large", "busy", "unauthorised", "forbidden", "draining" or "failed".
        message: the same in words.
        retry_after: seconds after which to ask again; None where that would not help.
    """

    code: str
    message: str
    retry_after: float | None = None


class Refused(Message, frozen=True, kw_only=True, tag_field="kind", tag="refused"):
    """The answer to what is refused."""

    error: Refusal


class Limits(Message, frozen=True, kw_only=True):
    """What a server takes.

    Attributes:
        clients: websockets at once.
        waiting: decisions that wait at the most for the others.
        frame_bytes: of a message.
        instruction_characters: of an instruction.
    """

    clients: int
    waiting: int
    frame_bytes: int
    instruction_characters: int


class About(Message, frozen=True, kw_only=True, tag_field="kind", tag="about"):
    """What a server says of itself.

    Attributes:
        protocol: `PROTOCOL`.
        version: of rig.
        agent: what the agent is called.
        environment: the world that it was trained in.
        action_space: the keys and the camera that it decides with.
        prompt_format: the fields that it speaks.
        deciding: how it comes to decisions: the planner with its options, and what `rig eval` calls the rest.
        runs_in: device and dtype of its network.
        limits: what is taken.
    """

    protocol: int
    version: str
    agent: str
    environment: str
    action_space: dict[str, Any]
    prompt_format: dict[str, Any]
    deciding: dict[str, Any]
    runs_in: dict[str, str]
    limits: Limits


def pack(message: Any) -> bytes:
    """Return a message as msgpack."""
    return msgspec.msgpack.encode(message)


def array_map(frame: Frame) -> dict[str, Any]:
    """Return a frame as a map that msgpack takes."""
    return {"__ndarray__": True, "data": frame.tobytes(), "dtype": frame.dtype.str, "shape": frame.shape}


def png(frame: Frame) -> bytes:
    """Return a frame as a PNG."""
    data = BytesIO()
    Image.fromarray(frame).save(data, "png", compress_level=1)
    return data.getvalue()


def frame_of(data: bytes) -> Frame:
    """Return the frame of a PNG, uint8 [H, W, 3].

    Raises:
        RigError: it is none, or larger than `MOST_PIXELS`.
    """
    try:
        with Image.open(BytesIO(data), formats=["png"]) as image:
            _refuse_huge(*image.size)
            return np.array(image.convert("RGB"))
    except RigError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise RigError("the frame is no PNG, or a spoilt one; send a whole one") from error


def packed_frame_of(packed: msgspec.Raw) -> Frame:
    """Return the frame that a `PackedAsk` has, uint8 [H, W, 3].

    Raises:
        RigError: it is neither a PNG nor such an array, or larger than `MOST_PIXELS`.
    """
    if bytes(packed)[:1] in _BIN:
        return frame_of(_part(packed, bytes))
    names: type = str if bytes(packed)[1:2] not in _BIN else bytes
    parts = _part(packed, Annotated[dict[names, msgspec.Raw], Meta(min_length=4, max_length=4)])  # type: ignore[valid-type]
    known = {name if isinstance(name, str) else name.decode(errors="replace"): part for name, part in parts.items()}
    if set(known) != set(_PARTS):
        raise RigError(f"the frame has {shown(sorted(known))}; {_ARRAY}")
    _, data, dtype, (height, width, channels) = (_part(known[name], kind) for name, kind in _PARTS.items())
    if dtype not in ("|u1", "uint8") or channels != 3 or height < 1 or width < 1 or len(data) != height * width * 3:
        raise RigError(f"the frame is {shown(dtype)} [{height}, {width}, {channels}] of {len(data)} bytes; {_ARRAY}")
    _refuse_huge(width, height)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


_BIN = (b"\xc4", b"\xc5", b"\xc6")
"""What a msgpack value of bytes begins with."""
_ARRAY = "send a PNG, or an array uint8 [height, width, 3] as a map of `__ndarray__`, `data`, `dtype` and `shape`"


def _part(packed: msgspec.Raw, kind: Any) -> Any:
    return parse_as(bytes(packed), kind, "msgpack", "the frame", _ARRAY)


def _refuse_huge(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise RigError(f"the frame has {width} x {height} pixels, and {MOST_PIXELS} are the most; make it smaller")


def said(decision: Decision, space: ActionSpace, seed: int) -> Said:
    """Return a decision as a message."""
    return Said(
        action=space.format(decision.action),
        thought=decision.thought,
        plans=[_said_plan(plan, space) for plan in decision.plans],
        chosen=decision.chosen,
        review=_said_review(decision.review, space),
        cost=vars(decision.cost),
        seed=seed,
    )


def _said_review(review: Review | None, space: ActionSpace) -> SaidReview | None:
    if review is None:
        return None
    return SaidReview(thought=review.thought, action=space.format(review.action), helped=review.helped)


def _said_plan(plan: Plan, space: ActionSpace) -> SaidPlan:
    return SaidPlan(
        thought=plan.thought,
        action=space.format(plan.action),
        dreams=[said_dream(dream, space) for dream in plan.dreams],
        votes=plan.votes,
        score=plan.score,
        judgement=plan.judgement,
    )


def said_dream(dream: Dream, space: ActionSpace) -> SaidDream:
    """Return a dream as a message."""
    return SaidDream(
        thought=dream.thought,
        action=space.format(dream.action),
        frame=None if dream.frame is None else png(dream.frame),
        codes=None if dream.codes is None else dream.codes.tolist(),
        entropy=dream.entropy,
    )


def decision_of(message: Said, space: ActionSpace) -> Decision:
    """Return the decision of a message; how its tokens were written is not told.

    Raises:
        RigError: an action is none of the space, a frame is none, or the chosen plan is not there.
    """
    if message.plans and not 0 <= message.chosen < len(message.plans):
        raise RigError(f"the server says that plan {message.chosen} of {len(message.plans)} was chosen")
    return Decision(
        action=space.parse(message.action),
        thought=message.thought,
        plans=tuple(_plan(plan, space) for plan in message.plans),
        chosen=message.chosen,
        review=_review(message.review, space),
        cost=_cost(message.cost),
    )


def _review(review: SaidReview | None, space: ActionSpace) -> Review | None:
    if review is None:
        return None
    return Review(thought=review.thought, action=space.parse(review.action), helped=review.helped)


def _plan(plan: SaidPlan, space: ActionSpace) -> Plan:
    return Plan(
        thought=plan.thought,
        action=space.parse(plan.action),
        dreams=tuple(_dream(dream, space) for dream in plan.dreams),
        votes=plan.votes,
        score=plan.score,
        judgement=plan.judgement,
    )


def dreams_of(message: SaidDreams, space: ActionSpace) -> list[Dream]:
    """Return the dreams of a message.

    Raises:
        RigError: an action is none of the space, or a frame is none.
    """
    return [_dream(dream, space) for dream in message.dreams]


def _dream(dream: SaidDream, space: ActionSpace) -> Dream:
    if dream.codes is not None and not all(0 <= code < 1 << 16 for code in dream.codes):
        raise RigError("the server sent codes of a dream that are none")
    return Dream(
        thought=dream.thought,
        action=space.parse(dream.action),
        frame=None if dream.frame is None else frame_of(dream.frame),
        codes=None if dream.codes is None else np.array(dream.codes, np.uint16),
        entropy=dream.entropy,
    )


def _cost(cost: dict[str, float]) -> Cost:
    counts = {name: int(cost.get(name, 0)) for name in ("read_tokens", "text_tokens", "image_tokens")}
    return Cost(**counts, seconds=float(cost.get("seconds", 0.0)))
