"""What may be written next, as automata over token ids.

A constraint is immutable and its states are plain values, so that one constraint serves every row of every call and
the mask of a state is computed once. It is the decoder's only guard: what a mask leaves out cannot be written.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from math import exp
from typing import Any, Protocol

import torch
from torch import Tensor

from rig.actions import Action, ActionGrammar, ActionSpace
from rig.actions.grammar import State as GrammarState
from rig.actions.text import NOOP_TEXT
from rig.dialogue import TextTokenizer
from rig.errors import RigError


class Constraint(Protocol):
    """A language of token sequences, each of which ends by itself."""

    @property
    def start(self) -> Hashable:
        """The state before the first token."""

    @property
    def limit(self) -> int:
        """The most tokens that it can take, its end included."""

    def allowed(self, state: Any) -> Tensor:
        """Return which tokens may follow, bool [tokenizer's size]; at least one may."""

    def advance(self, state: Any, token: int) -> Hashable:
        """Return the state after an allowed token."""

    def is_done(self, state: Any) -> bool:
        """Return True where nothing more is to be written."""


class ThoughtConstraint:
    """Ordinary text up to a fixed phrase, which is forced when the thought grows too long.

    A state is (matched, count): how many ids of the phrase stand at the end, and how many tokens were written.

    Args:
        tokenizer: whose added tokens, specials and atoms alike, a thought never holds, outside the phrase itself.
        stop_ids: the phrase, as training tokenizes it.
        max_tokens: once so many tokens are written, the phrase is (or goes on being) written.
    """

    def __init__(self, tokenizer: TextTokenizer, stop_ids: Sequence[int], max_tokens: int) -> None:
        if not stop_ids:
            raise RigError("a thought needs the ids of the phrase that ends it; stop_ids is empty")
        self.stop_ids = tuple(stop_ids)
        self.max_tokens = max_tokens
        self.limit = max_tokens + len(self.stop_ids)
        self.start = (0, 0)
        self._ordinary = torch.ones(len(tokenizer), dtype=torch.bool)
        self._ordinary[sorted(tokenizer.special_ids)] = False
        self._ordinary[[index for index, piece in enumerate(tokenizer.pieces) if not piece]] = False
        self._fallback = _borders(self.stop_ids)
        self._free = lru_cache(maxsize=None)(self._free_mask)
        self._forced = lru_cache(maxsize=None)(self._forced_mask)

    def allowed(self, state: tuple[int, int]) -> Tensor:
        """Return the mask of ordinary tokens and of what continues the phrase; of the latter alone when too long."""
        matched, count = state
        return self._forced(matched) if count >= self.max_tokens else self._free(matched)

    def advance(self, state: tuple[int, int], token: int) -> tuple[int, int]:
        """Return the state after `token`."""
        matched, count = state
        return self._match(matched, token), count + 1

    def is_done(self, state: tuple[int, int]) -> bool:
        """Return True behind the phrase."""
        return state[0] == len(self.stop_ids)

    def _match(self, matched: int, token: int) -> int:
        for prefix in self._prefixes(matched):
            if self.stop_ids[prefix] == token:
                return prefix + 1
        return 0

    def _prefixes(self, matched: int) -> Iterator[int]:
        """Yield the lengths of the phrase's beginnings at the end of the text, longest first, 0 last."""
        while matched:
            yield matched
            matched = self._fallback[matched - 1]
        yield 0

    def _free_mask(self, matched: int) -> Tensor:
        mask = self._ordinary.clone()
        mask[[self.stop_ids[prefix] for prefix in self._prefixes(matched)]] = True
        return mask

    def _forced_mask(self, matched: int) -> Tensor:
        mask = torch.zeros_like(self._ordinary)
        mask[self.stop_ids[matched]] = True
        return mask


def _borders(ids: Sequence[int]) -> list[int]:
    """Return, for each beginning of `ids`, its longest proper prefix that is also its suffix (Knuth-Morris-Pratt)."""
    borders = [0] * len(ids)
    length = 0
    for index in range(1, len(ids)):
        while length and ids[index] != ids[length]:
            length = borders[length - 1]
        length += ids[index] == ids[length]
        borders[index] = length
    return borders


ActionState = tuple[GrammarState | None, frozenset[int]]


class ActionConstraint:
    """A whole legal action, then a fixed phrase; nothing else can be written.

    A state is (grammar, matched): the action grammar's state, or None where the text so far cannot be read as an
    action any more, and how many ids of the phrase may have been read. Both readings live side by side where the
    phrase begins with a token that could also continue the action, as `, and next frame: ` and `, sprint` do.

    Args:
        tokenizer: whose tokens spell the action, atoms included, special tokens never.
        grammar: the action space's language.
        terminator_ids: the phrase after the action, as training tokenizes it.
    """

    def __init__(self, tokenizer: TextTokenizer, grammar: ActionGrammar, terminator_ids: Sequence[int]) -> None:
        if not terminator_ids:
            raise RigError("an action needs the ids of the phrase that ends it; terminator_ids is empty")
        self.grammar = grammar
        self.terminator_ids = tuple(terminator_ids)
        self.limit = longest_action(grammar.space) + len(self.terminator_ids)
        self.start: ActionState = (grammar.start, frozenset())
        self._texts = _action_texts(tokenizer)
        self._size = len(tokenizer)
        self._trie = _trie(self._texts)
        self.allowed = lru_cache(maxsize=2048)(self._allowed)

    def advance(self, state: ActionState, token: int) -> ActionState:
        """Return the state after `token`."""
        grammar_state = state[0]
        text = self._texts.get(token)
        spelled = self.grammar.advance(grammar_state, text) if grammar_state is not None and text else None
        read = frozenset(count + 1 for count in self._ends(state) if self.terminator_ids[count] == token)
        assert spelled is not None or read, f"token {token} is not allowed after {state}"
        return spelled, read

    def is_done(self, state: ActionState) -> bool:
        """Return True behind the phrase."""
        return len(self.terminator_ids) in state[1]

    def _ends(self, state: ActionState) -> frozenset[int]:
        """Return how many ids of the phrase may stand at the end of the text: 0 too, behind a whole action."""
        grammar_state, matched = state
        whole = grammar_state is not None and self.grammar.accepts(grammar_state)
        return matched | {0} if whole else matched

    def _allowed(self, state: ActionState) -> Tensor:
        grammar_state = state[0]
        mask = torch.zeros(self._size, dtype=torch.bool)
        if grammar_state is not None:
            mask[list(self._spellings(self._trie, grammar_state))] = True
        mask[[self.terminator_ids[count] for count in self._ends(state)]] = True
        return mask

    def _spellings(self, node: _Node, state: GrammarState) -> Iterator[int]:
        """Yield the tokens below `node` of the trie whose remaining text keeps the action alive."""
        yield from node.tokens
        for character, child in node.children.items():
            following = self.grammar.advance(state, character)
            if following is not None:
                yield from self._spellings(child, following)


class ChoiceConstraint:
    """One of several texts, as literal text is tokenized, and nothing behind it.

    A state is what has been written.

    Args:
        tokenizer: whose tokens.
        texts: at least one; none may begin with all of another.

    Raises:
        RigError: there is none, or one begins with another.
    """

    def __init__(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> None:
        self._spelled = {text: tuple(tokenizer.encode(text, literal=True)) for text in texts}
        spelled = sorted(self._spelled.values())
        if not all(spelled) or any(long[: len(short)] == short for short, long in pairwise(spelled)) or not spelled:
            raise RigError(f"{list(texts)} cannot be told apart; give texts of which none is the start of another")
        self.limit = max(map(len, spelled))
        self.start: tuple[int, ...] = ()
        self._size = len(tokenizer)
        self.allowed = lru_cache(maxsize=None)(self._allowed)

    def advance(self, state: tuple[int, ...], token: int) -> tuple[int, ...]:
        """Return the state after an allowed token."""
        return (*state, token)

    def is_done(self, state: tuple[int, ...]) -> bool:
        """Return True behind a whole text."""
        return state in self._spelled.values()

    def shares(self, choices: Mapping[int, float]) -> dict[str, float]:
        """Return the probability of each text where the first token is chosen so: `GeneratedText.choices[0]`.

        Raises:
            RigError: texts begin with the same token, and so one place does not tell their probabilities.
        """
        firsts = {text: ids[0] for text, ids in self._spelled.items()}
        if len(set(firsts.values())) < len(firsts):
            raise RigError(f"some of {list(firsts)} begin with the same token; give texts that differ from there on")
        return {text: exp(choices[first]) for text, first in firsts.items()}

    def _allowed(self, state: tuple[int, ...]) -> Tensor:
        mask = torch.zeros(self._size, dtype=torch.bool)
        at = len(state)
        mask[[ids[at] for ids in self._spelled.values() if len(ids) > at and ids[:at] == state]] = True
        return mask


class _Node:
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.children: dict[str, _Node] = {}


def _trie(texts: dict[int, str]) -> _Node:
    root = _Node()
    for token, text in texts.items():
        node = root
        for character in text:
            node = node.children.setdefault(character, _Node())
        node.tokens.append(token)
    return root


def _action_texts(tokenizer: TextTokenizer) -> dict[int, str]:
    """Return the text of every token that could spell a part of an action; no key holds a special token's brackets."""
    return {index: piece.decode() for index, piece in enumerate(tokenizer.pieces) if piece and piece.isascii()}


def longest_action(space: ActionSpace) -> int:
    """Return an upper bound on the tokens of an action: the characters of the longest."""
    lowest = space.camera.angles()[0] if space.camera is not None else 0
    pressed = [frozenset([key]) for key in space.keys] if space.exclusive else [frozenset(space.keys)]
    texts = (space.format(Action(keys=keys, camera=(lowest, lowest))) for keys in pressed)
    return max(map(len, (NOOP_TEXT, *texts)))
