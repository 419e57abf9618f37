"""The language of legal action texts as a finite automaton over characters.

A decoder that only takes characters (or whole tokens) which the automaton accepts cannot write an illegal action.
States are plain hashable tuples, so a token mask can be computed once per state and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rig.actions.text import NOOP_TEXT, SEPARATOR, ActionSpace

State = tuple[int, str]


@dataclass(frozen=True)
class _Items:
    """What may be read next: every whole item with the index that follows it, and every prefix of an item."""

    whole: dict[str, int]
    prefixes: frozenset[str]


class ActionGrammar:
    """Accepts exactly the texts that `ActionSpace.format` writes.

    A state is `(index, partial)`: the first key that may still be named (-1 before anything was, `len(keys)` where
    only the camera may follow, one more where nothing may), and the characters read since the last separator.
    """

    def __init__(self, space: ActionSpace) -> None:
        self.space = space
        self.start: State = (-1, "")
        self._end = len(space.keys) + 1
        self._items = lru_cache(maxsize=None)(self._items_at)

    def advance(self, state: State, text: str) -> State | None:
        """Return the state after reading `text`, or None where no legal action continues that way."""
        current: State | None = state
        for character in text:
            if current is None:
                return None
            current = self._step(current, character)
        return current

    def accepts(self, state: State) -> bool:
        """Return True where the text read so far is a whole action."""
        index, partial = state
        return partial in self._items(index).whole

    def is_action(self, text: str) -> bool:
        """Return True where `text` is a legal action of the space."""
        state = self.advance(self.start, text)
        return state is not None and self.accepts(state)

    def _step(self, state: State, character: str) -> State | None:
        index, partial = state
        items = self._items(index)
        longer = partial + character
        if longer in items.prefixes:
            return (index, longer)
        for cut in range(1, len(SEPARATOR) + 1):
            item, read = longer[:-cut], longer[-cut:]
            if SEPARATOR.startswith(read) and items.whole.get(item, self._end) < self._end:
                return (items.whole[item], "") if read == SEPARATOR else (index, longer)
        return None

    def _items_at(self, index: int) -> _Items:
        keys, camera = self.space.keys, self.space.camera
        after_keys = len(keys) if camera is not None else self._end
        whole: dict[str, int] = {NOOP_TEXT: self._end} if index == -1 else {}
        for position in range(max(index, 0), len(keys)):
            is_last = self.space.exclusive or position + 1 == len(keys)
            whole[keys[position]] = after_keys if is_last else position + 1
        if camera is not None and index <= len(keys):
            whole.update(dict.fromkeys(_camera_texts(tuple(camera.angles())), self._end))
        return _Items(whole, frozenset(text[:end] for text in whole for end in range(1, len(text) + 1)))


@lru_cache(maxsize=8)
def _camera_texts(angles: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"camera:[{pitch},{yaw}]" for pitch in angles for yaw in angles if (pitch, yaw) != (0, 0))
