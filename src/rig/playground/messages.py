"""What a page says to its server, in JSON over a websocket: small messages, each checked before anything is done."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from rig.validation import parse_as

VIEWS = ("watch", "dream", "record")

Name = Annotated[str, Meta(max_length=100)]
Words = Annotated[str, Meta(max_length=4000)]
Degrees = Annotated[float, Meta(ge=-3600, le=3600)]


class Message(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="say"):
    """A message of the page; `say` names it."""


class Begin(Message, frozen=True, kw_only=True, tag="begin"):
    """Begin an episode.

    Attributes:
        task: "task/setting".
        number: which of the worlds that have a start for it, from 0.
    """

    task: Name
    number: Annotated[int, Meta(ge=0, le=200)] = 0


class View(Message, frozen=True, kw_only=True, tag="view"):
    """Look at another view; the one before stands still."""

    view: Annotated[str, Meta(pattern=r"\A(watch|dream|record)\Z")]


class Run(Message, frozen=True, kw_only=True, tag="run"):
    """Let the agent play on its own."""


class Pause(Message, frozen=True, kw_only=True, tag="pause"):
    """Let it decide, and not act."""


class Step(Message, frozen=True, kw_only=True, tag="step"):
    """Do what is decided, and decide what comes then."""


class TakeOver(Message, frozen=True, kw_only=True, tag="take-over"):
    """Have the keys decide."""


class HandBack(Message, frozen=True, kw_only=True, tag="hand-back"):
    """Have the agent decide again."""


class Press(Message, frozen=True, kw_only=True, tag="press"):
    """Do something: in the world, where the keys decide, or in the dream.

    Attributes:
        keys: of the world's action space.
        turn: (pitch, yaw) of the camera in degrees, brought to its grid.
    """

    keys: Annotated[list[Name], Meta(max_length=32)] = []
    turn: tuple[Degrees, Degrees] = (0.0, 0.0)


class AskAgain(Message, frozen=True, kw_only=True, tag="ask"):
    """Have the agent decide again about what it sees; with nothing else said, by another draw.

    Attributes:
        instruction: another one, which holds until the end of the episode.
        thought: what stands in the place of its thought.
        review: what stands in the place of the thought of its review.
    """

    instruction: Words | UnsetType = UNSET
    thought: Words | UnsetType = UNSET
    review: Words | UnsetType = UNSET


class Planner(Message, frozen=True, kw_only=True, tag="planner"):
    """Come to decisions in another way, one of those that the page was told of."""

    planner: Name


class Wake(Message, frozen=True, kw_only=True, tag="wake"):
    """Begin to dream anew, where the episode stands."""


class Reality(Message, frozen=True, kw_only=True, tag="reality"):
    """Show, or do not show, what the world really shows for the same keys."""

    on: bool


class Record(Message, frozen=True, kw_only=True, tag="record"):
    """Let time run, and record what is played; or let it stand still.

    Attributes:
        on: whether it runs.
        waits: let a step in which nothing is pressed not be one.
    """

    on: bool
    waits: bool = False


class Keys(Message, frozen=True, kw_only=True, tag="keys"):
    """What is held down while time runs.

    Attributes:
        keys: of the world's action space.
        tapped: keys that were pressed since, and may be up again.
        turn: (pitch, yaw) that the mouse turned since the last message, in degrees.
    """

    keys: Annotated[list[Name], Meta(max_length=32)]
    tapped: Annotated[list[Name], Meta(max_length=32)] = []
    turn: tuple[Degrees, Degrees] = (0.0, 0.0)


class Keep(Message, frozen=True, kw_only=True, tag="keep"):
    """End the episode that is being recorded, and keep it."""


class Drop(Message, frozen=True, kw_only=True, tag="drop"):
    """Throw away the episode that is being recorded."""


Said = (
    Begin
    | View
    | Run
    | Pause
    | Step
    | TakeOver
    | HandBack
    | Press
    | AskAgain
    | Planner
    | Wake
    | Reality
    | Record
    | Keys
    | Keep
    | Drop
)


def read(data: bytes | str) -> Said:
    """Return a message of the page.

    Raises:
        RigError: it is none.
    """
    kind: Any = Said
    raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    said: Said = parse_as(raw, kind, "json", "the message", "messages are listed in docs/playground.md")
    return said
