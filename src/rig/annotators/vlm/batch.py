"""Batches: questions written as the JSON lines that OpenAI's batch endpoint takes, and the answers read into the store.

A line's `custom_id` is the hash of its request, so answers may come in any order and from any number of files, and the
run that follows finds them where it looks for any answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rig.annotators.vlm import prompts
from rig.annotators.vlm.asked import MODES, Request
from rig.annotators.vlm.forecast import unpaid_requests
from rig.annotators.vlm.served import Served
from rig.annotators.vlm.store import Bill, Payer
from rig.annotators.vlm.transport import Transient, read_reply
from rig.errors import AnnotationError, RigError
from rig.storage import atomic_file, refuse_existing
from rig.validation import parse_json

ROUTE = "/v1/chat/completions"
ACCOUNT = "batch"
"""Who pays for answers that come in batches: they are nobody's in particular, and cached for whoever uses them."""

MOST_LINES = 50_000
MOST_BYTES = 190_000_000
"""Of one file: OpenAI takes 50,000 lines and 200 MB."""


def write_batch(served: Served, questions: Iterable[Any], path: Path) -> tuple[list[Path], int]:
    """Write what must be paid to `path`, and to `NAME-2.jsonl` and so on beside it where one file may not hold it.

    Returns:
        the files, and how many requests they hold. Where nothing must be paid no file is written.

    Raises:
        RigError: a file is there already, or cannot be written.
    """
    served.look_only()
    refuse_existing(path, "choose another name for --batch-file")
    requests = (request for request in unpaid_requests(served, questions) if request is not None)
    lines = (_line(request, served) for request in requests)
    files, count = [], 0
    for number, portion in enumerate(_portions(lines), 1):
        name = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        with atomic_file(name) as temporary, temporary.open("wb") as file:
            count += _write(portion, file)
        files.append(name)
    return files, count


def _line(request: Request, served: Served) -> bytes:
    mode = served.mode
    line = {"custom_id": request.key(mode), "method": "POST", "url": ROUTE, "body": request.body(mode)}
    return json.dumps(line).encode() + b"\n"


def _write(lines: Iterable[bytes], file: IO[bytes]) -> int:
    return sum(bool(file.write(line)) for line in lines)


def _portions(lines: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Yield the lines of one file after another; each must be read to its end before the next."""
    first = next(lines, None)
    while first is not None:
        rest: list[bytes] = []
        yield _portion(first, lines, rest)
        first = rest[0] if rest else None


def _portion(line: bytes | None, lines: Iterator[bytes], rest: list[bytes]) -> Iterator[bytes]:
    count = size = 0
    while line is not None:
        count, size = count + 1, size + len(line)
        if count > MOST_LINES or (size > MOST_BYTES and count > 1):
            rest.append(line)
            return
        yield line
        line = next(lines, None)


@dataclass(kw_only=True)
class Taken:
    """What came of reading a batch's answers.

    Attributes:
        answers: taken into the store.
        known: that were there already.
        strange: to no question of this run.
        failures: reason -> how many requests failed for it.
    """

    answers: int = 0
    known: int = 0
    strange: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def fail(self, reason: str) -> None:
        """Count a request that failed."""
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def text(self) -> str:
        """Return it in words."""
        parts = [f"{self.answers:,} answers taken into the store", f"{self.known:,} were there already"]
        parts += [f"{self.strange:,} are to no question of this run"] if self.strange else []
        lines = [
            f"{count:,} failed: {reason}" for reason, count in sorted(self.failures.items(), key=lambda pair: -pair[1])
        ]
        return "\n".join([", ".join(parts), *lines])


def read_batch(served: Served, questions: Iterable[Any], paths: Sequence[Path]) -> Taken:
    """Take the answers in files of a batch's output and of its errors, in any order, into the store.

    Args:
        served: who was asked.
        questions: those of the run; an answer to any other is left alone.
        paths: the files.

    Raises:
        RigError: a file cannot be read, or a line of it is none of a batch's; what was read before is kept.
    """
    wanted = {
        request.key(mode): request.tokens  # and not the request, whose frames would all be in memory
        for request in unpaid_requests(served, questions)
        if request is not None
        for mode in MODES
    }
    taken = Taken()
    with ExitStack() as stack:
        for file in [stack.enter_context(_opened(path)) for path in paths]:
            for number, line in enumerate(file, 1):
                if line.strip():
                    _take(line, f"{file.name}, line {number}", wanted, served, taken)
    return taken


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise RigError(f"{path} cannot be read ({error.strerror}); give the files of a batch's results") from error


def _take(line: bytes, place: str, wanted: Mapping[str, int], served: Served, taken: Taken) -> None:
    """Take what one line holds."""
    fix = "give the output or the error file of a batch, as it was downloaded"
    value = parse_json(line, place, fix, AnnotationError)
    key = value.get("custom_id") if isinstance(value, dict) else None
    if not isinstance(key, str):
        raise AnnotationError(f"{place} has no custom_id; {fix}")
    if served.store.get(key) is not None:
        taken.known += 1
    elif key not in wanted:
        taken.strange += 1
    else:
        _settle(value, key, place, wanted[key], served, taken)


def _settle(value: dict[str, Any], key: str, place: str, tokens: int, served: Served, taken: Taken) -> None:
    response = value.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    if not isinstance(body, dict) or not isinstance(response, dict) or response.get("status_code") != 200:
        taken.fail(_reason(value.get("error"), body))
        return
    try:
        reply = read_reply(json.dumps(body), place)
    except Transient as error:
        taken.fail(str(error).removeprefix(place).strip())
        return
    told = reply.tokens_in is not None and reply.tokens_out is not None
    read = tokens if reply.tokens_in is None else reply.tokens_in
    written = prompts.words([reply.text, reply.reasoning]) if reply.tokens_out is None else reply.tokens_out
    bill = Bill(
        model=served.config.model,
        prompt=prompts.VERSION,
        tokens_in=read,
        tokens_out=written,
        estimated=not told,
        usd=served.price(read, written),
    )
    served.store.settle(key, Payer(account=ACCOUNT, role=served.role), reply, bill)
    taken.answers += 1


def _reason(error: Any, body: Any) -> str:
    """Return why a request of a batch failed."""
    for found in (error, body.get("error") if isinstance(body, dict) else None):
        if isinstance(found, dict):
            code, message = found.get("code"), found.get("message")
            return ": ".join(str(part)[:200] for part in (code, message) if part) or "no reason given"
    return "no reason given"
