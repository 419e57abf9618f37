"""One attempt: one HTTP request to a server that speaks OpenAI's API, and what became of it, in one of four kinds.

The `openai` package makes the request. Its own repetitions are off, for ours obey `Retry-After` and count; what it
returns is read here, from the text, because servers differ in what they leave out. The whole attempt is bounded, so
that neither a server that hangs nor one that sends a byte a second holds anybody up.
"""

from __future__ import annotations

import asyncio
import html
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from rig.annotators.vlm.answers import without_thinking
from rig.annotators.vlm.asked import Reply
from rig.registry import require

HIDDEN = "[key]"
_BUSY = frozenset({408, 409, 425, 429})
_REFUSED = frozenset({400, 413, 415, 422, 501})
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SPENT = ("insufficient_quota", "billing_hard_limit")
_LONGEST = 300


class Unanswered(Exception):
    """An attempt that brought no answer."""


class Transient(Unanswered):
    """It may go well the next time.

    Attributes:
        kind: in a word or two, for the counts.
        wait: seconds that the server asks to be left alone for; None where it does not.
        maybe_charged: whether the model may have written an answer that was lost on the way.
    """

    def __init__(self, kind: str, reason: str, *, wait: float | None = None, maybe_charged: bool = False) -> None:
        super().__init__(reason)
        self.kind, self.wait, self.maybe_charged = kind, wait, maybe_charged


class Refused(Unanswered):
    """The server will not take this request as it is."""


class Stop(Unanswered):
    """No request will be answered: the key is refused, there is no such model, the money is gone.

    Attributes:
        status: what the server answered; 0 where it did not.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Server:
    """A server's end.

    Args:
        address: up to and including "/v1".
        key: the key; it appears in no message.
        timeout: seconds that an attempt may take in all.
    """

    def __init__(self, address: str, key: str, timeout: float) -> None:
        openai: Any = require("openai", "openai")
        self.address, self.timeout = address, timeout
        self._key = key
        self._errors = openai
        self._client = openai.AsyncOpenAI(api_key=key, base_url=address, max_retries=0, timeout=timeout)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    async def models(self) -> list[str] | None:
        """Return the names of the models that a server offers; None where it has no such list.

        Raises:
            Transient: it is busy, away, or answers nonsense.
            Stop: it does not know the key, or is no such server.
        """
        try:
            status, kind, text, _ = await self._sent(self._client.models.with_raw_response.list())
        except Refused:
            return None
        except Stop as error:
            if error.status == 401:
                raise
            return None  # a key may be good for answers alone
        if status == 404:
            return None
        if _is_page(kind, text):
            raise Stop(f"{self.address} answers with {_page(text)}; is base_url right, up to and including /v1?")
        try:
            return [str(one["id"]) for one in json.loads(text)["data"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    async def complete(self, body: Mapping[str, Any]) -> Reply:
        """Return what the server answers to a request.

        Raises:
            Transient: it is busy, broken or away, or what it sent is no answer.
            Refused: it does not take the request.
            Stop: it takes none.
        """
        create = self._client.chat.completions.with_raw_response.create
        sent = create(model=body["model"], messages=[], extra_body=dict(body))
        status, kind, text, headers = await self._sent(sent)
        if status == 404:
            what = f"no model {body['model']!r}, or no chat completions"
            raise Stop(f"{self.address} knows {what} (404: {_said(text)})", status)
        if _is_page(kind, text):
            raise Transient("page", f"{self.address} answers with {_page(text)}", wait=wanted_pause(headers))
        return read_reply(text, self.address)

    async def _sent(self, call: Any) -> tuple[int, str, str, Mapping[str, str]]:
        """Return status, content type, text and headers of an answer; of errors, 404 alone."""
        try:
            async with asyncio.timeout(self.timeout):
                response = (await call).http_response
        except TimeoutError as error:
            raise self._late() from error
        except self._errors.APITimeoutError as error:
            raise self._late() from error
        except self._errors.APIConnectionError as error:
            raise self._lost(error) from None
        except self._errors.APIStatusError as error:
            response = error.response
            if response.status_code != 404:
                raise self._refusal(response) from None
        except self._errors.OpenAIError as error:
            raise Transient("broken", self._harmless(f"{type(error).__name__}: {error}"), maybe_charged=True) from None
        return response.status_code, self._kind(response), self._harmless(response.text), response.headers

    def _kind(self, response: Any) -> str:
        return str(response.headers.get("content-type", "")).lower()

    def _late(self) -> Transient:
        return Transient("timeout", f"{self.address} gave no whole answer in {self.timeout:g} s", maybe_charged=True)

    def _lost(self, error: BaseException) -> Transient:
        """Return the error of a connection that could not be made or did not hold."""
        cause: BaseException = error.__cause__ or error
        name = type(cause).__name__
        told = self._harmless(str(cause)) or name
        is_late = "Read" in name or "Protocol" in name  # the request was with the server already
        return Transient("connection", f"the connection to {self.address} failed ({told})", maybe_charged=is_late)

    def _refusal(self, response: Any) -> Unanswered:
        status, text = int(response.status_code), self._harmless(response.text)
        said = _page(text) if _is_page(self._kind(response), text) else _said(text)
        told = f"{self.address} answers {status}: {said}"
        if status in (401, 403):
            fix = "set the variable that key_variable names"
            return Stop(f"{self.address} refuses the key ({status}: {said}); {fix}", status)
        if status == 402 or (status == 429 and any(code in text for code in _SPENT)):
            return Stop(f"{told}; the account there has no money left", status)
        if status in _REFUSED:
            return Refused(told)
        if status in _BUSY or status >= 500:
            return Transient(str(status), told, wait=wanted_pause(response.headers))
        return Stop(told, status)

    def _harmless(self, text: str) -> str:
        """Return what a server said without the key, which some repeat."""
        return text.replace(self._key, HIDDEN) if len(self._key) > 4 else text


def read_reply(text: str, place: str) -> Reply:
    """Return the reply in the JSON of a chat completion.

    Args:
        text: the JSON.
        place: who sent it, for the message.

    Raises:
        Transient: it is none.
    """
    try:
        value = json.loads(text)
        (choice, *_) = value["choices"]
        message = choice["message"]
        said, aside = _texts(message.get("content")), message.get("reasoning_content") or message.get("reasoning")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Transient("broken", f"{place} sent what is no answer: {_said(text)}", maybe_charged=True) from error
    answer, thinking = without_thinking(said)
    return Reply(
        text=_storable(answer),
        reasoning=_storable("\n".join(filter(None, (aside if isinstance(aside, str) else "", thinking)))),
        finish=_storable(str(choice.get("finish_reason") or "")),
        refusal=_storable(str(message.get("refusal") or "")),
        tokens_in=_count(value.get("usage"), "prompt_tokens"),
        tokens_out=_count(value.get("usage"), "completion_tokens"),
    )


def wanted_pause(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, as a number or as a date; None where it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    zoned = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (zoned - datetime.now(UTC)).total_seconds())


def _is_page(kind: str, text: str) -> bool:
    return "html" in kind or text.lstrip()[:1] == "<"


def _page(text: str) -> str:
    title = _TITLE.search(text)
    called = f" called {_plain(html.unescape(title[1]))[:80]!r}" if title else ""
    return f"an HTML page{called}, where JSON belongs"


def _said(text: str) -> str:
    """Return what an error's body says: its message where it has one, or how it begins."""
    try:
        value = json.loads(text)
        found = value.get("error", value)
        told = found.get("message", found.get("detail")) if isinstance(found, dict) else found
    except (ValueError, AttributeError, RecursionError):
        told = None
    return _plain(str(told if told else text))[:_LONGEST] or "nothing"


def _plain(text: str) -> str:
    """Return a text on one line, without what a terminal would obey."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _texts(content: Any) -> str:
    """Return a message's text, which some servers give in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    if content is None or isinstance(content, str):
        return content or ""
    raise TypeError("a message that is no text")


def _storable(text: str) -> str:
    """Return a text that a file can hold."""
    return text.encode(errors="backslashreplace").decode()


def _count(usage: Any, name: str) -> int | None:
    """Return a number of tokens; None where the server gives none that makes sense."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 2**40 else None
