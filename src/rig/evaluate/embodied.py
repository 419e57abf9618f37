"""Success and samples per task and setting, on seeds that no training has seen.

    evaluate_embodied(EmbodiedConfig(agent="runs/basic/agent", dreams=3), "results/lookahead-3")

Every finished episode is a line in `episodes.jsonl`, so that a run that was cut goes on where it was; `summary.json`
holds the scores with 95 % intervals, costs per decision, and what the thoughts claimed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from rig.agents import (
    Basic,
    HowToPlay,
    Planner,
    PolicyActor,
    ServedActor,
    SubstitutingActor,
    planner_of,
    source_of,
)
from rig.annotators import ClaimChecker, checker_of
from rig.cluster import HERE, Cluster, crew
from rig.data.manifest import differences
from rig.dialogue import PromptFormat
from rig.envs import Split, World, make_world
from rig.envs.rollout import Actor, Episode, Played, play
from rig.errors import RigError, at_least_one
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.saved import EPISODES, SUMMARY, read_rows
from rig.evaluate.scores import summarise, summary_row
from rig.evaluate.verdicts import (
    with_verdicts,
)
from rig.evaluate.watched import Watch, judge_in
from rig.machine import usable_cores
from rig.model.runtime import threads_of
from rig.records import Lineage, Trajectory
from rig.stages.advantage import Judge
from rig.storage import (
    LOCK_NAME,
    Lock,
    append_json_line,
    read_json,
    refuse_existing,
    refuse_unmakeable,
    write_json,
)

CONFIG = "config.json"

_ROUNDS = 4
"""Parts of an evaluation for each worker on a cluster."""


def evaluate_embodied(
    config: EmbodiedConfig,
    out: Path | str,
    *,
    resume: bool = False,
    keep: list[Trajectory] | None = None,
    workers: int = 1,
    cluster: Cluster = HERE,
) -> dict[str, Any]:
    """Play every episode that is not yet in `out`, and return (and write) the summary.

    Args:
        config: see `EmbodiedConfig`.
        out: folder of the results.
        resume: go on with results of the same configuration, of as many episodes or of fewer.
        keep: where given, the trajectories played now are added to it.
        workers: processes that share the episodes out, each with the agent; in float32 results are the same for any
            number.
        cluster: where they are.

    Raises:
        RigError: `out` holds other results, or `resume` is false and it holds any; or another process is adding to it;
            or a worker died.
        CheckpointError: the agent cannot be loaded.
    """
    out = Path(out)
    at_least_one(workers=workers)
    refuse_foreign(out, config, resume, may_grow=True)
    setup = Setup.of(config)
    episodes = setup.episodes
    with Lock(out / LOCK_NAME):  # not before: a wrong name leaves no folder behind
        done = _open(out, config)
        wanted = [episode for episode in episodes if episode.id not in done]
        with tqdm(total=len(wanted), desc=f"eval {setup.name}", unit="episode") as bar:
            here = workers == 1 and not cluster.ray
            for played, changes in setup.watch(wanted) if here else _shared_out(config, wanted, workers, cluster):
                append_json_line(out / EPISODES, summary_row(played, setup.checker) | {"changes": changes})
                bar.update()
                if keep is not None:
                    keep.append(played.trajectory)
        summary = summarise(read_rows(out), config) | {"runs_in": setup.runs_in}
        write_json(out / SUMMARY, summary)
    return summary


def play_config(config: EmbodiedConfig) -> Iterator[Played]:
    """Play the episodes of `config`, their thoughts' claims checked, and write nothing."""
    setup = Setup.of(config)
    for played in setup.play(setup.episodes):
        yield replace(played, trajectory=with_verdicts(played.trajectory, setup.checker))


class Watching(Actor, Protocol):
    """An actor that is told which episode's decision it is asked for next."""

    def before(self, episode: Episode, world: World, index: int) -> None:
        """Be told; as of `rig.envs.rollout.play`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a configuration asks for: who plays which episodes where, and who checks the thoughts."""

    environment: str
    spare: World
    actor: Actor
    name: str
    checker: ClaimChecker | None
    judge: Judge | None
    config: EmbodiedConfig

    @staticmethod
    def of(config: EmbodiedConfig) -> Setup:
        """Load who is to play, and make one world; errors are those of `evaluate_embodied`."""
        environment = environment_of(config)
        world = make_world(environment)
        source, named = source_of(config.agent)
        actor = source.actor(named, world, how_to_play(config))
        if isinstance(actor, PolicyActor | SubstitutingActor):
            actor.policy.check_tasks(world.tasks, config.tasks)
        return Setup(
            environment=environment,
            spare=world,
            actor=actor,
            name=source.short_name(named),
            checker=checker_of(world.name),
            judge=judge_in(environment, config.patience) if config.valued else None,
            config=config,
        )

    @cached_property
    def episodes(self) -> list[Episode]:
        """The episodes of the configuration: worlds are searched for them, which who plays a part need not do."""
        return evaluation_episodes(self.spare, self.config)

    @property
    def runs_in(self) -> dict[str, str]:
        """Device and dtype of the agent's network; nothing of a teacher."""
        if isinstance(self.actor, PolicyActor | SubstitutingActor):
            return self.actor.policy.engine.model.runs_in
        return self.actor.runs_in if isinstance(self.actor, ServedActor) else {}

    def play(self, episodes: Sequence[Episode], watch: Watching | None = None) -> Iterator[Played]:
        """Play; who watches decides, in the actor's place."""
        lineage = Lineage(stage="live", actor=self.name)
        return play(
            lambda: make_world(self.environment),
            watch or self.actor,
            episodes,
            batch_size=self.config.batch_size,
            most_steps=self.config.most_steps,
            lineage=lineage,
            before=watch.before if watch else None,
            follow_dreams=self.config.follow_dreams,
        )

    def watch(self, episodes: Sequence[Episode]) -> Iterator[tuple[Played, dict[str, Any]]]:
        """Play, and count beside each episode what became of first proposals; see `Changes`."""
        watch = Watch(self.actor, self.config.valued, self.judge)
        for played in self.play(episodes, watch):
            yield played, watch.changes(played.episode)


def _shared_out(
    config: EmbodiedConfig, episodes: Sequence[Episode], workers: int, cluster: Cluster
) -> Iterator[tuple[Played, dict[str, Any]]]:
    """Play `episodes` in several processes, long and short ones dealt out evenly.

    On a cluster they are dealt out in several rounds: what a lost machine had is then soon played again.
    """
    count = workers * _ROUNDS if cluster.ray else workers
    parts = [part for first in range(count) if (part := episodes[first::count])]
    threads = 1 if cluster.ray else max(1, usable_cores() // max(1, len(parts)))
    with crew(partial(_prepared, config, threads), max(1, min(workers, len(parts))), cluster) as hands:
        yield from hands.each(Setup.watch, parts, lambda part: f"the episode {part[0].id} and others")


@contextmanager
def _prepared(config: EmbodiedConfig, threads: int) -> Iterator[Setup]:
    with threads_of(threads):
        yield Setup.of(config)


def evaluation_episodes(world: World, config: EmbodiedConfig) -> list[Episode]:
    """Return the episodes to play: for each task and setting, the first seeds of the split that can start it.

    Raises:
        RigError: no episode is asked for.
        UnknownNameError: no such task or setting.
    """
    if config.episodes < 1:
        raise RigError(f"{config.episodes} episodes: at least one per task and setting")
    split = Split[config.split.upper()]
    episodes = [
        Episode(task=task.name, setting=setting, seed=seed)
        for task, setting in world.tasks.variants(config.tasks)
        for seed in world.episode_seeds(task, setting, split, config.episodes, skip=config.skip)
    ]
    # Long ones first, so that the last worlds to end do not run alone.
    limit = {(task.name, setting): task.start(setting).limit for task, setting in world.tasks.variants(config.tasks)}
    return sorted(episodes, key=lambda episode: (-limit[episode.task, episode.setting], episode.seed))


def refuse_foreign(out: Path, config: EmbodiedConfig, resume: bool, *, may_grow: bool = False) -> None:
    """Raise RigError where `out` holds what is not to be touched; fewer episodes than now are, where it may grow."""
    if not resume:
        refuse_existing(out, "continue it with --resume, or choose another folder with --out")
    path = out / CONFIG
    refuse_unmakeable(path)
    found = _without_flags(config) | read_json(path) if path.is_file() else {}
    begun = found.get("episodes")
    if may_grow and isinstance(begun, int) and begun < config.episodes:
        found["episodes"] = config.episodes
    changed = differences(found, json.loads(json.dumps(asdict(config)))) if found else []
    if changed:
        raise RigError(f"{out} holds results of another configuration: {'; '.join(changed[:5])}")


def _without_flags(config: EmbodiedConfig) -> dict[str, Any]:
    """Return what results say of flags that were not there yet when they were made: reviews were not bound then."""
    defaults = {field.name: field.default for field in fields(config) if field.default is not MISSING}
    return defaults | {"bind_verdicts": False}


def _open(out: Path, config: EmbodiedConfig) -> set[str]:
    """Return the ids of the episodes that `out` holds already; one whose line a kill cut short is played again."""
    write_json(out / CONFIG, asdict(config))
    rows = read_rows(out)
    return {Episode(task=row["task"], setting=row["setting"], seed=row["seed"]).id for row in rows}


def environment_of(config: EmbodiedConfig) -> str:
    """Return the name of the world that `config` plays in.

    Raises:
        CheckpointError: the agent cannot be read, or not play there.
        UnknownNameError: there is no such teacher.
        RigError: no world is named, and nothing says where the teacher plays.
    """
    source, name = source_of(config.agent)
    return source.world(name, config.environment)


def how_to_play(config: EmbodiedConfig) -> HowToPlay:
    """Return how whoever `config` names is to play."""
    return HowToPlay(
        planner_for=partial(planner_for, config),
        read_back=config.read_back,
        entropy_threshold=config.entropy_threshold,
        thought_tokens=config.thought_tokens,
        temperature=config.temperature,
        dtype=config.dtype,
        dreams_from=config.dream_source,
        tasks=config.tasks,
        bind_verdicts=config.bind_verdicts,
    )


def planner_for(config: EmbodiedConfig, prompt_format: PromptFormat) -> Planner:
    """Return how an agent that speaks `prompt_format` comes to decisions."""
    name, options = named_planner(config)
    return (
        planner_of(name, options)
        if config.planner or options
        else Basic(imagine=config.imagine and prompt_format.dream)
    )


def named_planner(config: EmbodiedConfig) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of the planner that `config` asks for.

    Raises:
        RigError: an option cannot be read, or stands there without a planner.
    """
    if config.planner:
        return config.planner, dict(map(_option, config.planner_options))
    if config.planner_options:
        raise RigError("--planner-options are those of a --planner; name it")
    if config.plans > 1 or config.resample:
        options = {"plans": config.plans, "dreams": config.dreams, "judge": config.judge}
        limit = {} if config.stop_entropy is None else {"stop_entropy": config.stop_entropy}
        return "resample" if config.resample else "best-of", options | limit
    if config.dreams:
        return "lookahead", {"dreams": config.dreams, "stop_entropy": config.stop_entropy}
    return "basic", {}


def _option(text: str) -> tuple[str, Any]:
    """Return the name and the value of an option that was written "name=value"."""
    name, is_option, value = text.partition("=")
    if not (name and is_option):
        raise RigError(f"--planner-options {text!r}: write each as name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
