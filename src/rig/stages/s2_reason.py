"""S2: thoughts. Y = Reasoner(x, A), for successful, diverse and validated trajectories only.

Successful: the task's test was met; or a teacher corrected whoever played, whose failure is then none of what is
learned. Diverse: of episodes with the very same actions in the same task and setting only a few are kept. Validated:
every claim of every thought was checked against the engine's facts, where a checker for the world exists; a thought
with a false claim is left out, and its step with it wherever thoughts are learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rig.actions import ActionSpace
from rig.annotators import (
    Asked,
    ClaimChecker,
    Evidence,
    Informed,
    Reasoner,
    answered,
    build_reasoner,
    checker_of,
    seen_in,
)
from rig.annotators.kit import with_kit
from rig.cluster import HERE, Cluster
from rig.data import Dataset
from rig.lazy import lazily
from rig.records import CORRECTION, Step, Trajectory
from rig.stages.annotating import episode_name, place_of, saved_config
from rig.stages.base import Opening, annotated_lineage, derived_info, finished, run_stage
from rig.stages.config import ReasonConfig
from rig.stages.sharing import maker

_TOGETHER = 4
"""Episodes that a worker of a cluster has at a time."""


def reason(
    source: Path | str,
    config: ReasonConfig,
    out: Path | str,
    opening: Opening | None = None,
    *,
    workers: int = 1,
    cluster: Cluster = HERE,
) -> Dataset:
    """Annotate the dataset `source`, and write the kept trajectories to the dataset `out`.

    Args:
        source: the dataset's folder.
        config: see `ReasonConfig`.
        out: the new dataset's folder.
        opening: how to treat what is there.
        workers: of the cluster.
        cluster: where to think; without one the Reasoner does so in this process.

    Raises:
        UnknownNameError: no such Reasoner.
        RigError: no Reasoner is named, and the world's kit has none.
        DatasetError: `source` cannot be read, or `out` may not be touched.
        AnnotationError: the Reasoner had no answer for some steps; all other episodes are kept.
        RigError: the Reasoner's configuration is not one of its.
    """
    dataset = Dataset(source)
    config = with_kit(config, dataset.info.environment)
    kept = set(diverse_successes(dataset, config.same_actions))

    work = [name for name in dataset.ids if name in kept]
    prepare = partial(_at_work, config, dataset.info.environment, dataset.info.action_space)
    with prepare() as room:
        reasoner, _ = room
        make = maker(prepare, _made, room, [reasoner], workers=workers, cluster=cluster, together=_TOGETHER)
        info = derived_info(dataset, "s2", saved_config(config, reasoner=reasoner), out)

        def make_named(names: Sequence[str]) -> Iterable[Trajectory | None]:
            return make(lazily(dataset.__getitem__, names))

        return run_stage(out, info, work, lambda name: name, make_named, opening or Opening(), {"reasoner": reasoner})


def questions_ahead(
    source: Path | str, config: ReasonConfig, out: Path | str, opening: Opening
) -> tuple[Reasoner[Any], Iterator[Informed[Evidence]]]:
    """Return the Reasoner, and what `reason` with the same arguments would have it asked, in order.

    Raises:
        RigError: as `reason` does, before anything is asked.
    """
    dataset = Dataset(source)
    config = with_kit(config, dataset.info.environment)
    reasoner = build_reasoner(config.reasoner, config.reasoner_config, dataset.info.action_space)
    wanted = set(diverse_successes(dataset, config.same_actions)) - finished(out, opening)
    episodes = (dataset[name] for name in dataset.ids if name in wanted)
    return reasoner, (seen_in(step) for episode in episodes for step in episode.steps)


_Room = tuple[Reasoner[Any], ClaimChecker | None]


@contextmanager
def _at_work(config: ReasonConfig, environment: str, space: ActionSpace) -> Iterator[_Room]:
    reasoner = build_reasoner(config.reasoner, config.reasoner_config, space)
    with closing(reasoner):
        yield reasoner, checker_of(environment) if config.validate else None


def _made(room: _Room, episodes: Iterable[Trajectory]) -> Iterator[Trajectory]:
    reasoner, checker = room
    for trajectory, thoughts in answered(reasoner, map(_asked, episodes)):
        yield annotate(trajectory, thoughts, reasoner, checker)


def _asked(trajectory: Trajectory) -> Asked[Trajectory]:
    """Return an episode, of each step of which a thought is wanted.

    Of noise too: in training it is context for the dream of what the action leads to, and is never learned.
    """
    return Asked(
        piece=trajectory,
        name=episode_name(trajectory),
        questions=lazily(seen_in, trajectory.steps),
        places=lazily(place_of, trajectory.steps),
    )


def annotate(
    trajectory: Trajectory, thoughts: Sequence[str], reasoner: Reasoner[Any], checker: ClaimChecker | None
) -> Trajectory:
    """Return `trajectory` with the Reasoner's `thoughts`, but for those with a claim that is false."""
    steps = lazily(partial(_with_thought, checker), trajectory.steps, thoughts)
    return replace(trajectory, steps=steps, lineage=annotated_lineage(trajectory, "s2", reasoner))


def diverse_successes(dataset: Dataset, same_actions: int) -> list[str]:
    """Return the ids of successful or corrected trajectories, at most `same_actions` of those with the same actions."""
    columns = dataset.table(["trajectory", "task", "setting", "success", "action", "actor"]).to_pydict()
    corrected = {
        name for name, actor in zip(columns["trajectory"], columns.pop("actor"), strict=True) if actor == CORRECTION
    }
    actions: dict[str, list[str]] = {}
    cells: dict[str, tuple[str, str]] = {}
    for name, task, setting, success, action in zip(*columns.values(), strict=True):
        if success or name in corrected:
            actions.setdefault(name, []).append(action)
            cells[name] = (task, setting)
    seen: Counter[tuple[tuple[str, str], tuple[str, ...]]] = Counter()
    kept = []
    for name, sequence in actions.items():
        key = (cells[name], tuple(sequence))
        seen[key] += 1
        if seen[key] <= same_actions:
            kept.append(name)
    return kept


def _with_thought(checker: ClaimChecker | None, step: Step, thought: str) -> Step:
    return replace(step, thought=thought if _is_valid(thought, step, checker) else None)


def _is_valid(thought: str, step: Step, checker: ClaimChecker | None) -> bool:
    if checker is None:
        return True
    return all(verdict.holds is not False for verdict in checker.check(thought, step.privileged, step.action))
