"""Flags of verbs whose annotators may cost money: to see beforehand what, to bound it, to have it done in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rig.errors import RigError

if TYPE_CHECKING:
    from rig.annotators import Annotator
    from rig.stages.ahead import Bound


@dataclass(frozen=True, kw_only=True)
class Paying:
    """What a verb that asks annotators takes besides.

    Attributes:
        dry_run: say how many calls there would be, and what they would cost; make none, and write nothing.
        budget_usd: stop before more than so much is spent on the dataset, in all runs that it takes.
        budget_tokens: stop before more tokens than that are read and written, alike.
    """

    dry_run: bool = False
    budget_usd: float | None = None
    budget_tokens: int | None = None

    def bounded(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return an annotator's configuration with the bounds that were given."""
        given = {"budget_usd": self.budget_usd, "budget_tokens": self.budget_tokens}
        return {**config, **{name: bound for name, bound in given.items() if bound is not None}}


@dataclass(frozen=True, kw_only=True)
class Batching(Paying):
    """What a verb takes besides whose questions are all known beforehand.

    Attributes:
        batch_file: write what would be asked to this file, as OpenAI's batch endpoint takes it; ask nothing, and write
            nothing else.
        batch_results: take the answers in these files, which came of such a batch; the next run finds them. Nothing is
            asked, and nothing else is written.
    """

    batch_file: str = ""
    batch_results: tuple[str, ...] = ()

    @property
    def is_ahead(self) -> bool:
        """Whether no dataset is to be written."""
        return self.dry_run or bool(self.batch_file) or bool(self.batch_results)

    def look_ahead(self, annotator: Annotator[Any, Any], questions: Iterable[Any]) -> dict[str, Any]:
        """Do what was asked for in the place of a run.

        Args:
            annotator: who would be asked.
            questions: what; with the facts that only some annotators are handed.

        Raises:
            RigError: more than one of these things was asked for, or the annotator is behind no server.
        """
        from rig.annotators.asking import handed

        asked = [self.dry_run, bool(self.batch_file), bool(self.batch_results)]
        if sum(asked) > 1:
            raise RigError("--dry-run, --batch-file and --batch-results exclude each other; give one of them")
        evidence = (handed(annotator, question) for question in questions)
        if self.dry_run:
            return dry_run(annotator, evidence)
        return _batched(annotator, evidence, self.batch_file, self.batch_results)


def dry_run(annotator: Annotator[Any, Any], evidence: Iterable[Any]) -> dict[str, Any]:
    """Return what it would take to have it answered."""
    from rig.annotators.vlm.forecast import forecast
    from rig.annotators.vlm.served import Served

    if isinstance(annotator, Served):
        found = forecast(annotator, evidence)
        return {"text": f"{annotator.name}: {found.text()}", "annotator": annotator.name, **asdict(found)}
    count = sum(1 for _ in evidence)
    text = f"{annotator.name}: {count:,} questions, none of which costs anything"
    return {"text": text, "annotator": annotator.name, "questions": count, "calls": 0, "usd": 0.0}


def dry_run_of(bounds: Iterable[Bound]) -> dict[str, Any]:
    """Return what it would take at the most to have answered what a stage asks that plays."""
    from rig.annotators.vlm.forecast import forecast_of_many
    from rig.annotators.vlm.served import Served

    lines, found = [], {}
    for bound in bounds:
        annotator = bound.annotator
        if isinstance(annotator, Served):
            told = forecast_of_many(annotator, bound.count, bound.question)
            lines.append(f"{annotator.name}: {told.text()}")
            found[annotator.name] = asdict(told)
        else:
            lines.append(f"{annotator.name}: at most {bound.count:,} questions, none of which costs anything")
            found[annotator.name] = {"questions": bound.count, "calls": 0, "usd": 0.0, "is_bound": True}
    return {"text": "\n".join(lines), "annotators": found}


def _batched(
    annotator: Annotator[Any, Any], evidence: Iterable[Any], file: str, results: Iterable[str]
) -> dict[str, Any]:
    from rig.annotators.vlm.batch import read_batch, write_batch
    from rig.annotators.vlm.served import Served

    if not isinstance(annotator, Served):
        raise RigError(f"{annotator.name} is behind no server, and takes no batches; leave --batch-… out")
    if file:
        files, count = write_batch(annotator, evidence, Path(file))
        names = ", ".join(map(str, files)) or "nothing"
        text = (
            f"{count:,} requests in {names}" if count else "the store has an answer to everything; nothing is written"
        )
        return {"text": text, "requests": count, "files": list(map(str, files))}
    taken = read_batch(annotator, evidence, list(map(Path, results)))
    return {"text": taken.text(), **asdict(taken)}
