"""What is to be chosen about a model behind a server, and the key that opens it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from rig.annotators.configured import incidental
from rig.errors import AnnotationError, RigError
from rig.machine import cache_root
from rig.validation import Meta

OPENAI = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
NO_KEY = "none"
"""What is sent as the key where there is none: servers that need none want one all the same."""

Positive = Annotated[float, Meta(gt=0)]
Price = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, kw_only=True)
class ServedConfig:
    """Which model answers, and how it is asked.

    Attributes:
        model: its name, as the server knows it.
        temperature: of its answers; None leaves it to the server.
        max_tokens: the longest answer; one that is cut is asked for once more with twice of it.
        image_size: pixels of a picture's longer side. Smaller frames are enlarged by a whole number, pixel by pixel,
            larger ones reduced.
        image_detail: OpenAI's word for how closely pictures are looked at; where "auto" nothing is said of it.
        language: a world's language of claims, whose sentences the model is to use, so that they can be checked:
            "crafter" or "minetest"; without one it writes as it likes.
        base_url: the server's address, up to and including "/v1"; `$OPENAI_BASE_URL`, or OpenAI's, where empty.
        key_variable: the name of the environment variable that holds the key. Where empty, OpenAI's own server is
            given that in OPENAI_API_KEY, and any other server none.
        tokens_field: what the server calls the longest answer; OpenAI's reasoning models want the second name.
        concurrency: the most calls at once.
        calls_per_minute: the most calls begun in a minute; None: as many as there are.
        timeout: seconds that one attempt may take in all, from the first byte sent to the last received.
        retry_seconds: how long an answer is tried for, pauses and all, where the server is busy, broken or away.
        first_pause: the longest pause behind the first attempt, in seconds; it doubles, up to a minute.
        usd_per_million_in: price of tokens read; None where it is not known, and then no cost is told.
        usd_per_million_out: price of tokens written, alike.
        budget_usd: the most that a dataset may cost, over all runs; None: no bound.
        budget_tokens: the most tokens, read and written, that it may take, alike.
        cache: folder of the answers; `annotations` in the cache's folder (`$RIG_CACHE`) where empty.
    """

    model: Annotated[str, Meta(min_length=1, max_length=300)]
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = 0.0
    max_tokens: Annotated[int, Meta(ge=16, le=65_536)] = 500
    image_size: Annotated[int, Meta(ge=16, le=4_096)] = 384
    image_detail: Literal["auto", "low", "high"] = "auto"
    language: Literal["", "crafter", "minetest"] = ""
    base_url: str = incidental("")
    key_variable: Annotated[str, Meta(pattern=r"\A([A-Za-z_][A-Za-z0-9_]*)?\Z")] = incidental("")
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = incidental("max_tokens")
    concurrency: Annotated[int, Meta(ge=1, le=256)] = incidental(4)
    calls_per_minute: Positive | None = incidental(None)
    timeout: Positive = incidental(120.0)
    retry_seconds: Annotated[float, Meta(ge=0)] = incidental(600.0)
    first_pause: Positive = incidental(1.0)
    usd_per_million_in: Price | None = incidental(None)
    usd_per_million_out: Price | None = incidental(None)
    budget_usd: Positive | None = incidental(None)
    budget_tokens: Count | None = incidental(None)
    cache: str = incidental("")

    def __post_init__(self) -> None:
        address_of(self)
        if (self.usd_per_million_in is None) != (self.usd_per_million_out is None):
            raise RigError("give both prices, usd_per_million_in and usd_per_million_out, or none")
        if self.budget_usd is not None and self.usd_per_million_in is None:
            raise RigError(
                f"budget_usd={self.budget_usd} needs the model's prices: usd_per_million_in=… usd_per_million_out=…"
            )


def address_of(config: ServedConfig) -> str:
    """Return the server's address, without a slash at its end.

    Raises:
        RigError: it is none, or holds a name and a password.
    """
    address = (config.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI).rstrip("/")
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known, parts = False, urlsplit("")
    if parts.username is not None or parts.password is not None:
        raise RigError(
            "base_url holds a name or a password, which would be in every message; keep the secret in an environment "
            "variable, and name that as key_variable"
        )
    if not known or parts.query or parts.fragment:
        raise RigError(f"base_url={address!r} is no server's address; give one such as http://localhost:8000/v1")
    return address


def key_variable_of(config: ServedConfig) -> str:
    """Return the name of the environment variable that holds the key, or "" where the server is given none."""
    is_openai = urlsplit(address_of(config)).hostname == urlsplit(OPENAI).hostname
    return config.key_variable or (OPENAI_KEY if is_openai else "")


def key_of(config: ServedConfig) -> str:
    """Return the key for the server, from the environment; it is to be written nowhere.

    Raises:
        AnnotationError: the variable that should hold it is not set, or holds what no header can; its value is not
            told.
    """
    name = key_variable_of(config)
    if not name:
        return NO_KEY
    key = os.environ.get(name, "").strip()
    if not key:
        raise AnnotationError(
            f"the environment variable {name} holds no key for {address_of(config)}; set it, or name another one as "
            "key_variable"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise AnnotationError(f"what the environment variable {name} holds is no key: letters, digits and signs alone")
    return key


def price_of(config: ServedConfig, read: int, written: int) -> float | None:
    """Return what tokens read and written cost, in dollars; None where no prices were given."""
    if config.usd_per_million_in is None or config.usd_per_million_out is None:
        return None
    return (read * config.usd_per_million_in + written * config.usd_per_million_out) / 1e6


def cache_folder(config: ServedConfig) -> Path:
    """Return the folder of the answers."""
    return Path(config.cache).absolute() if config.cache else cache_root() / "annotations"
