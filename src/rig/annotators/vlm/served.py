"""What the annotators that ask a server share: the store, the line, and the way from a question to its answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from threading import RLock
from typing import Any, ClassVar
from uuid import uuid4

from rig.actions import ActionSpace
from rig.annotators.asking import Failure
from rig.annotators.claims import Language
from rig.annotators.costs import Costs
from rig.annotators.vlm import prompts
from rig.annotators.vlm.asked import MODES, Message, Mode, Reply, Request
from rig.annotators.vlm.caller import Call, Manner
from rig.annotators.vlm.config import ServedConfig, address_of, cache_folder, key_of, key_variable_of, price_of
from rig.annotators.vlm.dialogues import Way
from rig.annotators.vlm.line import BudgetSpent, CallFailed, CallRefused, Line
from rig.annotators.vlm.modes import Hopeless, Ladder
from rig.annotators.vlm.pictures import Picture
from rig.annotators.vlm.store import Payer, Store
from rig.errors import AnnotationError
from rig.records import Frame
from rig.registry import load_late, require

LANGUAGES = {
    "crafter": "rig.annotators.crafter_words:CRAFTER",
    "minetest": "rig.annotators.minetest_words:MINETEST",
}
"""The worlds whose claims can be checked, and where their languages are."""

_MOST_TRIES = 8
"""How often a question is asked anew, in other runs, where what is in the store of it is of no use."""


class Served:
    """What the two have in common: a conversation for each question, the store, and the line to the server."""

    Config: ClassVar[type] = ServedConfig
    role: ClassVar[str]
    is_billed: ClassVar[bool] = True
    prompt = prompts.VERSION
    config: ServedConfig
    space: ActionSpace | None

    def __init__(self, config: ServedConfig, space: ActionSpace | None = None) -> None:
        super().__init__(config, space)  # type: ignore[call-arg]  # of Annotator, which stands beside this one
        self.name = f"openai-{self.role}-1-{config.model}"
        self.concurrency = config.concurrency
        self.account = uuid4().hex
        self._lock = RLock()
        self._is_closed = False
        self._store: Store | None = None
        self._ladder_found: Ladder | None = None
        self._line: Line | None = None

    @property
    def payer(self) -> Payer:
        """Who is charged."""
        return Payer(account=self.account, role=self.role)

    @property
    def store(self) -> Store:
        """The answers."""
        with self._lock:
            if self._store is None:
                self._store = Store(cache_folder(self.config))
            return self._store

    @property
    def _ladder(self) -> Ladder:
        with self._lock:
            if self._ladder_found is None:
                self._ladder_found = Ladder(self.store, address_of(self.config), self.config.model)
            return self._ladder_found

    def close(self) -> None:
        """Let go of the line, whose calls in flight are still kept, and of the store."""
        with self._lock:
            self._is_closed = True
            line, self._line = self._line, None
            store, self._store, self._ladder_found = self._store, None, None
        if line is not None:
            line.close()
        if store is not None:
            store.close()

    def costs(self) -> Costs:
        """Return what was answered and what that cost, over all runs of the account."""
        return self.store.costs(self.payer)

    @cached_property
    def language(self) -> Language | None:
        """The language whose sentences the model is to use, or None."""
        return load_late(LANGUAGES[self.config.language]) if self.config.language else None

    @property
    def actions(self) -> ActionSpace:
        """The actions that are named.

        Raises:
            AnnotationError: nobody said which.
        """
        if self.space is None:
            raise AnnotationError(f"{self.name} names actions, and was not told of which world; give it a space")
        return self.space

    def way(self, question: Any, seed: int | None = None) -> Way:
        """Return the way to the answer to a question."""
        raise NotImplementedError

    def annotate(self, batch: Sequence[Any]) -> list[str | Failure]:
        """Return an answer for each question, in order, or a `Failure` for one that has none.

        Raises:
            AnnotationError: no question will be answered: see `Line.ask`.
        """
        return [self._answer(question) for question in batch]

    def _answer(self, question: Any) -> str | Failure:
        """Return the answer to a question; where what the store has is of no use, that of a fresh try."""
        for number in range(_MOST_TRIES):
            found, was_asked = self._walk(self.way(question, number or None))
            if not isinstance(found, Failure) or was_asked:
                break
        if isinstance(found, Failure):
            self.store.add(self.payer, given_up=1)
        return found

    def _walk(self, way: Way) -> tuple[str | Failure, bool]:
        """Return what a way leads to, and whether anything had to be asked for it."""
        request, was_asked = next(way), False
        while True:
            kept = self._kept(request)
            if kept is not None:
                key, reply = kept
                self.store.use(self.payer, key)
            else:
                was_asked = True
                try:
                    reply = self._sent(request)
                except (CallRefused, CallFailed) as error:
                    return Failure(str(error)), True
            try:
                request = way.send(reply)
            except StopIteration as end:
                return end.value, was_asked

    def look_only(self) -> None:
        """Make no store where there is none: nothing will be asked."""
        with self._lock:
            self._store = self._store or Store(cache_folder(self.config), is_for_reading=True)

    def unpaid(self, question: Any) -> Request | None:
        """Return the next request of a question that the store cannot answer, or None where it answers them all."""
        for number in range(_MOST_TRIES):
            way = self.way(question, number or None)
            request = next(way)
            while (kept := self._kept(request)) is not None:
                try:
                    request = way.send(kept[1])
                except StopIteration as end:
                    found = end.value
                    break
            else:
                return request
            if not isinstance(found, Failure):
                return None
        return None

    def price(self, read: int, written: int) -> float | None:
        """Return what tokens read and written cost; None where no prices were given."""
        return price_of(self.config, read, written)

    @property
    def mode(self) -> Mode:
        """The way in which JSON is asked for, as far as is known."""
        return self._ladder.mode

    def _kept(self, request: Request) -> tuple[str, Reply] | None:
        """Return the answer that the store has, in whichever way it was asked for, and its key."""
        for mode in (self.mode, *(mode for mode in MODES if mode != self.mode)):
            key = request.key(mode)
            if (reply := self.store.get(key)) is not None:
                return key, reply
        return None

    def _sent(self, request: Request) -> Reply:
        line = self._opened()

        def send(mode: Mode) -> Reply:
            call = Call(
                key=request.key(mode),
                body=request.body(mode),
                tokens_in=request.tokens,
                tokens_out=request.max_tokens,
            )
            return line.ask(call)

        try:
            return self._ladder.ask(send)
        except Hopeless as error:
            raise AnnotationError(f"{self.name}: whatever way it is asked in, {error}") from error
        except BudgetSpent as error:
            raise self._spent() from error

    def _spent(self) -> AnnotationError:
        """Return the error of a budget that is used up."""
        tokens, usd = self.store.spent(self.account)
        bounds = {"usd": self.config.budget_usd, "tokens": self.config.budget_tokens}
        given = " and ".join(f"--budget-{name} {bound:g}" for name, bound in bounds.items() if bound is not None)
        cost = f"{tokens:,.0f} tokens" + (f" and {usd:.4f} USD" if self.config.usd_per_million_in is not None else "")
        return AnnotationError(
            f"{given} leaves no room for another call: {cost} so far. What was answered is kept; go on with --resume "
            "and a larger budget"
        )

    def _opened(self) -> Line:
        with self._lock:
            if self._is_closed:
                raise AnnotationError(f"{self.name} is closed")
            if self._line is None:
                require("openai", "openai")
                key_of(self.config)  # there must be one, before anything is begun
                self._line = Line(self._manner())
            return self._line

    def _request(
        self, rules: str, parts: Iterable[str | Frame], schema: dict[str, object], seed: int | None
    ) -> Request:
        """Return the request that begins a conversation: `rules`, then texts and frames."""
        config = self.config
        told = tuple(
            part if isinstance(part, str) else Picture(frame=part, size=config.image_size, detail=config.image_detail)
            for part in parts
        )
        return Request(
            model=config.model,
            messages=(Message(role="system", parts=(rules,)), Message(role="user", parts=told)),
            schema=schema,
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            seed=seed,
            tokens_field=config.tokens_field,
        )

    def _manner(self) -> Manner:
        config = self.config
        return Manner(
            address=address_of(config),
            key_variable=key_variable_of(config),
            cache=str(cache_folder(config)),
            account=self.account,
            role=self.role,
            concurrency=config.concurrency,
            calls_per_minute=config.calls_per_minute,
            timeout=config.timeout,
            retry_seconds=config.retry_seconds,
            first_pause=config.first_pause,
            usd_in=config.usd_per_million_in,
            usd_out=config.usd_per_million_out,
            budget_usd=config.budget_usd,
            budget_tokens=config.budget_tokens,
        )
