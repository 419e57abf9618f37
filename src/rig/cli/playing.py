"""Verbs that play, score and show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from rig.cli.flags import Flags, Settings, Tracked
from rig.cluster import Cluster
from rig.errors import RigError
from rig.evaluate.config import (
    CausalityConfig,
    EmbodiedConfig,
    ImaginationConfig,
    JudgementsConfig,
    ReviewsConfig,
)
from rig.records import Trajectory


@dataclass(frozen=True, kw_only=True)
class Play:
    """Play a few episodes, print what was thought and done, and write them as a page to look at.

    Example: rig play --agent runs/rig/agent --tasks collect_wood/manual --dreams 3 --out runs/trace.html

    Attributes:
        agent: folder of a trained agent, or "teacher:crafter", "teacher:random".
        out: the page.
        video: an .mp4 of the same beside it, two steps a second; none where empty.
        rerun: an .rrd of the same beside it, for Rerun's viewer; none where empty.
        environment: the world; where empty, an agent's own, and for a teacher the one in whose kit it is; Crafter for
            "teacher:random".
        tasks: "task" or "task/setting"; the first of the world's where none is given.
        episodes: episodes per task and setting.
        skip: seeds to leave out first.
        dreams: n of the lookahead; 0 acts at once. Of several plans each is dreamed so far.
        plans: k, how many plans are proposed; of more than one the best is taken.
        judge: who says what each of several plans is worth.
        resample: propose the others only where the first plan is refused.
        read_back: how dreams are read.
        temperature: of thoughts and actions; 0 takes the likeliest.
        bind_verdicts: a review that says "keep the plan" does what was planned, whatever action it would have written.
        quiet: print the outcomes only.
    """

    agent: str
    out: str
    video: str = ""
    rerun: str = ""
    environment: str = ""
    tasks: tuple[str, ...] = ()
    episodes: int = 1
    skip: int = 0
    dreams: int = 0
    plans: int = 1
    judge: str = EmbodiedConfig.judge
    resample: bool = False
    read_back: Literal["pixels", "codes"] = "pixels"
    temperature: float = EmbodiedConfig.temperature
    bind_verdicts: bool = True
    quiet: bool = False

    def run(self) -> dict[str, Any]:
        """Play."""
        from rig.cli.tables import episode_text
        from rig.envs import make_world
        from rig.evaluate.embodied import environment_of, play_config
        from rig.storage import refuse_as_page
        from rig.viewer import render_trace

        refuse_as_page(Path(self.out))
        _check_taken_along(self.video, self.rerun)
        config = EmbodiedConfig(
            agent=self.agent,
            environment=self.environment,
            tasks=self.tasks,
            episodes=self.episodes,
            skip=self.skip,
            split="validation",
            dreams=self.dreams,
            plans=self.plans,
            judge=self.judge,
            resample=self.resample,
            read_back=self.read_back,
            temperature=self.temperature,
            bind_verdicts=self.bind_verdicts,
            imagine=self.dreams == 0,
            follow_dreams=True,
        )
        if not config.tasks:
            config = replace(config, tasks=(next(iter(make_world(environment_of(config)).tasks)).name,))
        played = list(play_config(config))
        trajectories = [episode.trajectory for episode in played]
        page = render_trace(trajectories, self.out, title="RIG", meta={"agent": self.agent, "dreams": self.dreams})
        text = "\n\n".join(episode_text(trajectory, steps=not self.quiet) for trajectory in trajectories)
        outcomes = [
            {"task": t.task, "setting": t.setting, "seed": t.seed, "success": t.success, "steps": len(t.steps)}
            for t in trajectories
        ]
        taken = _taken_along(self.video, self.rerun, lambda: trajectories, "RIG")
        return {"text": "\n\n".join(filter(None, (text, taken))), "page": str(page), "episodes": outcomes}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Draw a moving picture of the decision that a review improved most in an episode: six seconds, to be shown around.

    Frame, thought, dream beside what would really come of the plan, review, and what came of that. It is chosen to show
    how the method works; `rig eval` says how well.

    Example: rig picture --agent runs/rig/agent --tasks collect_coal/tool --out runs/picture.webp

    Attributes:
        agent: folder of a trained agent.
        tasks: one "task/setting".
        out: the picture: .webp or .gif, or .png for all of the decision at once.
        skip: validation seeds of the task to leave out first.
        dreams: n of the lookahead; None: 1 where the agent has learned reviews, else 0.
        temperature: of thoughts and actions; 0 takes the likeliest.
    """

    agent: str
    tasks: tuple[str, ...]
    out: str
    skip: int = 0
    dreams: int | None = None
    temperature: float = EmbodiedConfig.temperature

    def run(self) -> dict[str, Any]:
        """Play and draw."""
        from rig.recipes.picture import draw_episode

        config = EmbodiedConfig(
            agent=self.agent,
            tasks=self.tasks,
            skip=self.skip,
            split="validation",
            temperature=self.temperature,
            dtype="float32",  # the same episode on every machine
        )
        moment = draw_episode(config, self.dreams, Path(self.out))
        size = Path(self.out).stat().st_size
        text = f"{self.out}: step {moment.step.index + 1}, {size / 1e3:.0f} kB"
        return {"text": text, "picture": self.out, "step": moment.step.index, "gain": moment.gain, "bytes": size}


@dataclass(frozen=True, kw_only=True)
class Eval(Tracked, Flags, EmbodiedConfig, Cluster):
    """Score an agent or a teacher: success and samples per task and setting on seeds that no training has seen.

    Example: rig eval --agent runs/rig/agent --dreams 3 --episodes 50 --out runs/eval-rig-3

    Attributes:
        out: folder of the results.
        resume: go on with a run that was cut.
        workers: processes that share the episodes out; in float32 the results are the same for any number.
    """

    out: str
    resume: bool = False
    workers: int = 1
    imagine: tyro.conf.Suppress[bool] = False
    follow_dreams: tyro.conf.Suppress[bool] = False

    def run(self) -> dict[str, Any]:
        """Evaluate."""
        from rig.cli.tables import scores_text
        from rig.evaluate.embodied import evaluate_embodied
        from rig.tracking import track_scores

        config, cluster = self.part(EmbodiedConfig), self.part(Cluster)
        trackers = self.trackers()
        summary = evaluate_embodied(config, self.out, resume=self.resume, workers=self.workers, cluster=cluster)
        track_scores(trackers, self.out, summary)
        return {"text": scores_text(summary), "out": self.out, **summary}


@dataclass(frozen=True, kw_only=True)
class Imagine(Tracked, Flags, ImaginationConfig):
    """Score dreams: pixels, structure, distribution, and grid cells dreamed right, 1 to k steps ahead.

    Example: rig imagine --agent runs/rig/agent --chains 512 --out runs/imagine-rig

    Attributes:
        out: folder of the results.
        reasoner_config: the Reasoner's own configuration: a JSON file, or its fields as name=value, or both.
    """

    out: str
    reasoner_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Dream and score."""
        from rig.cli.tables import imagination_text
        from rig.evaluate.imagination import evaluate_imagination
        from rig.tracking import track_scores

        trackers = self.trackers()
        scores = evaluate_imagination(self.part(ImaginationConfig), self.out)
        track_scores(trackers, self.out, scores)
        return {"text": imagination_text(scores), "out": self.out, **scores}


@dataclass(frozen=True, kw_only=True)
class Causality(Tracked, Flags, CausalityConfig):
    """Say whether dreams cause better decisions: the same episodes with own dreams, with other frames, and without any.

    Example: rig causality --agent runs/rig/agent --plans 4 --judge effect --out runs/causality-rig

    Attributes:
        out: folder of the results, with a page causality.md; each row has a folder of its own in it.
        resume: go on with a suite that was cut, or with other --rows.
        workers: processes that share the episodes out; in float32 the results are the same for any number.
    """

    out: str
    resume: bool = False
    workers: int = 1
    imagine: tyro.conf.Suppress[bool] = False
    follow_dreams: tyro.conf.Suppress[bool] = False
    dreams_from: tyro.conf.Suppress[str] = "own"
    true_dreams: tyro.conf.Suppress[bool] = False

    def run(self) -> dict[str, Any]:
        """Evaluate the rows."""
        from rig.cli.tables import causality_text
        from rig.evaluate.causality import evaluate_causality
        from rig.recipes.causality import write_causality_page
        from rig.tracking import track_scores

        config = self.part(CausalityConfig)
        trackers = self.trackers()
        scores = evaluate_causality(config, self.out, resume=self.resume, workers=self.workers)
        track_scores(trackers, self.out, scores)
        page = write_causality_page(scores, Path(self.out) / "causality.md")
        return {"text": causality_text(scores), "page": str(page), "out": self.out, **scores}


@dataclass(frozen=True, kw_only=True)
class EvalReviews(Tracked, Flags, ReviewsConfig):
    """Score reviews alone: which plans of recorded lookaheads an agent keeps and changes, and what dreams do to that.

    Example: rig eval-reviews --agent runs/rig/agent --data runs/s4-held-out --out runs/reviews-rig

    Attributes:
        out: folder of the results.
    """

    out: str

    def run(self) -> dict[str, Any]:
        """Review and score."""
        from rig.cli.tables import reviews_text
        from rig.evaluate.reviews import evaluate_reviews
        from rig.tracking import track_scores

        trackers = self.trackers()
        scores = evaluate_reviews(self.part(ReviewsConfig), self.out)
        track_scores(trackers, self.out, scores)
        return {"text": reviews_text(scores), "out": self.out, **scores}


@dataclass(frozen=True, kw_only=True)
class JudgeVerb(Tracked, Flags, JudgementsConfig):
    """Score what an agent says its plans are worth: shown what really came of them, shown its dreams, shown nothing.

    Example: rig judge --agent runs/judge/agent --data runs/branches-held-out --out runs/judged

    Attributes:
        out: folder of the results.
    """

    out: str

    def run(self) -> dict[str, Any]:
        """Judge and score."""
        from rig.cli.tables import judgements_text
        from rig.evaluate.judgements import evaluate_judgements
        from rig.tracking import track_scores

        trackers = self.trackers()
        scores = evaluate_judgements(self.part(JudgementsConfig), self.out)
        track_scores(trackers, self.out, scores)
        return {"text": judgements_text(scores), "out": self.out, **scores}


@dataclass(frozen=True, kw_only=True)
class View:
    """Turn episodes of a dataset into one self-contained page: frames, thoughts, actions, dreams, reviews.

    A video, or a recording for Rerun's viewer, can be written beside it.

    Example: rig view --data runs/s4 --out runs/s4.html --episodes 8

    Attributes:
        data: folder of the dataset.
        out: the page.
        video: an .mp4 of the same beside it, two steps a second; none where empty.
        rerun: an .rrd of the same beside it, for Rerun's viewer; none where empty.
        tasks: "task" or "task/setting" to choose from; all where none is given.
        episodes: the most episodes to show, spread over tasks and settings, and for each over the dataset.
    """

    data: str
    out: str
    video: str = ""
    rerun: str = ""
    tasks: tuple[str, ...] = ()
    episodes: int = 12

    def run(self) -> dict[str, Any]:
        """Write the page, and what is taken along."""
        from rig.data import Dataset
        from rig.storage import refuse_as_page
        from rig.viewer import choose, render_trace

        refuse_as_page(Path(self.out))
        _check_taken_along(self.video, self.rerun)
        if self.episodes < 1:
            raise RigError(f"--episodes {self.episodes}: show at least one")
        dataset = Dataset(self.data)
        wanted = {name.partition("/")[0] for name in self.tasks}
        if wanted:
            dataset = dataset.filter(task=sorted(wanted))
        entries = [e for e in dataset.entries if not wanted or {e.task, f"{e.task}/{e.setting}"} & set(self.tasks)]
        if not entries:
            asked = f"of {' '.join(self.tasks)}" if self.tasks else "at all"
            known = sorted({f"{entry.task}/{entry.setting}" for entry in dataset.entries})
            raise RigError(f"{self.data} has no episode {asked}. It has: {', '.join(known) or 'none'}.")
        chosen = choose(entries, self.episodes)
        page = render_trace(
            [dataset[entry.id] for entry in chosen],
            Path(self.out),
            title=dataset.info.name,
            meta={"stage": dataset.info.stage, "content": dataset.content_hash[:12]},
        )
        ids = [entry.id for entry in chosen]
        taken = _taken_along(self.video, self.rerun, lambda: map(dataset.__getitem__, ids), dataset.info.name)
        text = "\n".join(filter(None, (f"{page}: {len(chosen)} episodes", taken)))
        return {"text": text, "page": str(page), "episodes": len(chosen)}


def _check_taken_along(video: str, rerun: str) -> None:
    """Raise RigError where a video or a recording is wanted and cannot be made, before anything is done."""
    if video:
        from rig.registry import require
        from rig.viewer.film import check_film

        check_film(Path(video))
        require("av", "video")
    if rerun:
        from rig.viewer.recording import check_recording

        check_recording(Path(rerun))


def _taken_along(video: str, rerun: str, trajectories: Callable[[], Iterable[Trajectory]], title: str) -> str:
    """Write the video and the recording that are wanted, and return a line about each; nothing where none is."""
    lines = []
    if video:
        from rig.viewer.film import write_film

        lines.append(f"{video}: {write_film(Path(video), trajectories())} pictures")
    if rerun:
        from rig.viewer.recording import write_recording

        lines.append(f"{rerun}: {write_recording(Path(rerun), trajectories(), title=title)} decisions")
    return "\n".join(lines)
