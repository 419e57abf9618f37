"""Text to token ids and back: any byte-level BPE, with named special tokens and optional atoms.

Special ids are found by their string, never hard-coded, so Janus's own tokenizer and our small one serve alike. Atoms
are fixed phrases and action keys that a small tokenizer writes as single tokens; they are recognised in literal text
only, so a thought that happens to contain such a word is tokenised as ordinary text. Terms are the opposite: whole
phrases of thoughts (a place, say) that are single tokens wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from rig.errors import CheckpointError, RigError
from rig.storage import write_text

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
PAD = "<｜▁pad▁｜>"
BEGIN_IMAGE = "<begin_of_image>"
END_IMAGE = "<end_of_image>"
IMAGE = "<image_placeholder>"
SPECIALS = (BOS, EOS, PAD, BEGIN_IMAGE, END_IMAGE, IMAGE)

FILE_NAME = "tokenizer.json"


_MOST_IDS = 1 << 22
"""Ids beyond are a mistake in a file, and would take hours to write out."""

_PROBE = "RIG: 2 left,\n\tgo é×木 "
"""What a tokenizer must give back as it was."""


class TextTokenizer:
    """A byte-level BPE with the special tokens of Janus.

    Its ids may have gaps: its size is the highest id and one, and what stands for no token has no bytes and is never
    written.

    Args:
        tokenizer: the underlying tokenizer; it must know every string in `SPECIALS`.

    Raises:
        CheckpointError: a special token or a byte is missing, an id is beyond all measure, or text does not come back
            as it was.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        missing = [token for token in SPECIALS if tokenizer.token_to_id(token) is None]
        if missing:
            raise CheckpointError(
                f"the tokenizer has no special token {', '.join(missing)}; it is not a Janus tokenizer"
            )
        self._literal = tokenizer
        if len(self) > _MOST_IDS:
            raise CheckpointError(f"the tokenizer has an id {len(self) - 1}; no vocabulary is as large as that")
        if lacking := [byte for byte, sign in _byte_alphabet().items() if tokenizer.token_to_id(sign) is None]:
            raise CheckpointError(
                f"the tokenizer has no token for {len(lacking)} of the 256 bytes (the first: {lacking[0]}), so there "
                "is text that it cannot write; restore it from a copy"
            )
        self._plain = Tokenizer.from_str(tokenizer.to_str())
        self._plain.encode_special_tokens = True
        self.bos, self.eos, self.pad, self.begin_image, self.end_image, self.image = (
            self._id(token) for token in SPECIALS
        )
        back = self.decode(self.encode(_PROBE))
        if back != _PROBE:
            raise CheckpointError(f"the tokenizer turns {_PROBE!r} into {back!r}; Janus' own, byte by byte, keeps text")

    def __len__(self) -> int:
        return self._size

    @cached_property
    def _size(self) -> int:
        return max(self._literal.get_vocab(with_added_tokens=True).values()) + 1

    def encode(self, text: str, *, literal: bool = False) -> list[int]:
        """Return the ids of `text`; with `literal`, atoms and special tokens in it become their single ids."""
        return (self._literal if literal else self._plain).encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, special tokens and atoms as their strings; the inverse of `encode`."""
        return b"".join(self.pieces[index] for index in ids).decode("utf-8", errors="replace")

    @cached_property
    def pieces(self) -> list[bytes]:
        """The bytes of every token, by id; none where an id stands for no token."""
        added = self._literal.get_added_tokens_decoder()
        alphabet = {character: byte for byte, character in _byte_alphabet().items()}
        pieces = [b""] * len(self)
        for token, index in self._literal.get_vocab(with_added_tokens=True).items():
            if index in added or not alphabet.keys() >= set(token):
                pieces[index] = token.encode()  # as text, which is how the tokenizers library reads them too
            else:
                pieces[index] = bytes(alphabet[character] for character in token)
        return pieces

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The ids of specials and atoms."""
        return frozenset(i for i, token in self._literal.get_added_tokens_decoder().items() if token.special)

    @cached_property
    def terms(self) -> dict[int, list[int]]:
        """The ids of terms, shortest first, each with the ids of its parts: shorter terms in it, or else its pieces."""
        added = self._literal.get_added_tokens_decoder().items()
        names = {token.content: index for index, token in added if not token.special}
        parts: dict[int, list[int]] = {}
        for name in sorted(names, key=len):
            inside = [names[other] for other in names if other != name and other in name]
            parts[names[name]] = inside or self._spell(name)
        return parts

    def _spell(self, text: str) -> list[int]:
        """Return the ids of `text` as if it held no term."""
        words = self._literal.pre_tokenizer.pre_tokenize_str(text)
        return [token.id for word, _ in words for token in self._literal.model.tokenize(word)]

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` into `folder`, atomically."""
        write_text(Path(folder) / FILE_NAME, self._literal.to_str(pretty=True))

    @classmethod
    def load(cls, folder: Path) -> TextTokenizer:
        """Read `tokenizer.json` from `folder`.

        Raises:
            CheckpointError: there is none, or it cannot be read.
        """
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; a checkpoint folder holds its tokenizer beside its weights")
        try:
            # Not from the file: the library takes the names of files for UTF-8, whatever the locale.
            return cls(Tokenizer.from_buffer(path.read_bytes()))
        except CheckpointError:
            raise
        except Exception as error:
            raise CheckpointError(f"{path} cannot be read as a tokenizer: {error}") from error

    def _id(self, token: str) -> int:
        index = self._literal.token_to_id(token)
        assert index is not None
        return index


def train_bpe(
    corpus: Iterable[str], *, vocabulary_size: int, atoms: Iterable[str] = (), terms: Iterable[str] = ()
) -> TextTokenizer:
    """Train a byte-level BPE in which digits stand alone, with `terms`, `atoms` and the special tokens added last.

    Args:
        corpus: texts in the language to compress: thoughts, reviews, instructions.
        vocabulary_size: number of tokens in all, terms, atoms and special tokens included.
        atoms: strings that literal text writes as one token each.
        terms: strings that any text writes as one token each.

    Raises:
        RigError: the vocabulary is too small for bytes, terms, atoms and special tokens.
    """
    extra, known = [*SPECIALS, *dict.fromkeys(atoms)], list(dict.fromkeys(terms))
    learned = vocabulary_size - len(extra) - len(known)
    if learned < 256:
        raise RigError(
            f"a vocabulary of {vocabulary_size} is too small: 256 bytes, {len(SPECIALS)} special tokens and "
            f"{len(extra) - len(SPECIALS)} atoms and {len(known)} terms need at least {256 + len(extra) + len(known)}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=learned, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in known])
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in extra])
    return TextTokenizer(tokenizer)


def _byte_alphabet() -> dict[int, str]:
    """Return GPT-2's map from bytes to printable characters, which every byte-level BPE writes its tokens in."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = {byte: chr(byte) for byte in printable}
    hidden = [byte for byte in range(256) if byte not in alphabet]
    return alphabet | {byte: chr(256 + offset) for offset, byte in enumerate(hidden)}
