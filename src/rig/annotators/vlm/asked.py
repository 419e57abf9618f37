"""What a server is asked: a conversation of texts and pictures, in one of four ways to have JSON answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal

from rig.annotators.vlm import prompts
from rig.annotators.vlm.pictures import Picture

Mode = Literal["nested", "flat", "object", "prompt"]
MODES: tuple[Mode, ...] = ("nested", "flat", "object", "prompt")
"""How JSON can be asked for, the strongest first: a schema as OpenAI has it, a schema as llama.cpp has it, any object,
and in words alone, which every other way says as well."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one side says: texts and pictures, in order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Picture, ...]

    def json(self) -> dict[str, Any]:
        """Return it as servers read it; what has no picture is plain text."""
        if all(isinstance(part, str) for part in self.parts):
            return {"role": self.role, "content": "".join(map(str, self.parts))}
        content = [part.part() if isinstance(part, Picture) else {"type": "text", "text": part} for part in self.parts]
        return {"role": self.role, "content": content}

    def named(self) -> list[Any]:
        """Return what its content is known by: texts, and the hashes of pictures."""
        return [self.role, *(part if isinstance(part, str) else {"picture": part.digest} for part in self.parts)]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A conversation that is to be continued.

    Attributes:
        model: who is to continue it.
        messages: what has been said.
        schema: of the JSON that is to be answered.
        max_tokens: the longest answer.
        temperature: of the answer; None leaves it to the server.
        seed: None at first; a number where an earlier answer to the same question was of no use.
        tokens_field: what the server calls the longest answer.
    """

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    max_tokens: int
    temperature: float | None = None
    seed: int | None = None
    tokens_field: str = "max_tokens"

    def body(self, mode: Mode) -> dict[str, Any]:
        """Return the request's JSON."""
        found = {"model": self.model, "messages": [message.json() for message in self.messages]}
        return found | {self.tokens_field: self.max_tokens} | self._choices() | _response_format(mode, self.schema)

    def key(self, mode: Mode) -> str:
        """Return the hash of all that decides the answer: model, texts, pixels, prompt version, and how it is asked."""
        about = [self.model, self.max_tokens, self._choices(), mode, self.schema, prompts.VERSION]
        told = json.dumps([*about, [message.named() for message in self.messages]], sort_keys=True)
        return sha256(told.encode()).hexdigest()

    def _choices(self) -> dict[str, Any]:
        given = {"temperature": self.temperature, "seed": self.seed}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def tokens(self) -> int:
        """About how many tokens it has to read."""
        parts = [part for message in self.messages for part in message.parts]
        pictures = sum(part.tokens for part in parts if isinstance(part, Picture))
        return pictures + prompts.words([part for part in parts if isinstance(part, str)])

    def with_room(self) -> Request:
        """Return it with twice the room for its answer."""
        return replace(self, max_tokens=2 * self.max_tokens)

    def repairing(self, answer: str, reason: str) -> Request:
        """Return it continued by an answer that is of no use, and by why it is none."""
        said = Message(role="assistant", parts=(answer or "(nothing)",))
        told = Message(role="user", parts=(prompts.repair(reason),))
        return replace(self, messages=(*self.messages, said, told))


def _response_format(mode: Mode, schema: Mapping[str, Any]) -> dict[str, Any]:
    formats: dict[Mode, dict[str, Any]] = {
        "nested": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}},
        "flat": {"type": "json_schema", "schema": schema},
        "object": {"type": "json_object"},
    }
    return {"response_format": formats[mode]} if mode in formats else {}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered.

    Attributes:
        text: the answer itself.
        reasoning: what the model thought before it, kept apart.
        finish: why it ended: "stop", "length", …; empty where the server does not say.
        refusal: why the model will not answer; empty where it does.
        tokens_in: tokens read; None where the server does not say.
        tokens_out: tokens written, alike.
    """

    text: str
    reasoning: str = ""
    finish: str = ""
    refusal: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
