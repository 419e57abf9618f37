"""The ladder: from nothing to a table of every row, as a plan of `rig` commands.

    S1 ─► S2 ─► tokenizers, vision ─► base ─► first part of each row ─► S3, S4 ─► second part ─► scores
                                                                                     └► S1, S2 on policy ─► a part more

S3 and S4 are played by RIG-basic, in further rounds by the agent of the round before; S4 also rehearses what the
teacher did in S2.

Rows: action only · + imagine · + reason · RIG-basic · RIG-lookahead · the control (the same reviews without dreams) ·
the teacher · random; and action only and RIG-basic on shares of the data. Where the configuration has on-policy rounds,
+ on-policy; and, if it says so, RIG-lookahead and the control behind the rounds. Where it has rounds of practice,
RIG-basic whose dreams have learned from its own play, and then what it found better by them. Beside all of them,
RIG-basic with as many steps more.
Where it has planning, the rows of `rig.recipes.planning`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from rig.envs import make_world
from rig.evaluate.config import BY_TEACHER
from rig.evaluate.saved import IMAGINATION
from rig.recipes.config import Part
from rig.recipes.jobs import Job
from rig.recipes.places import PRACTISED, Places
from rig.recipes.planning import best_of, planning_jobs

ROWS = {"action": ("--no-thought", "--no-dream"), "imagine": ("--no-thought",), "reason": ("--no-dream",), "basic": ()}
"""Row -> the flags that take its fields away."""

SCALED = ("action", "basic")

TAUGHT = "s4-taught"
"""The reviews of what the teacher did in S2."""

CORRECTED = "corrected"
"""The run that learns to look ahead behind the on-policy rounds; begins the names of its scores."""

CORRECTED_CONTROL = f"{CORRECTED}-control"
"""The same reviews without dreams."""

S4_CORRECTED = f"s4-{CORRECTED}"
"""The reviews in states that the agent of the on-policy rounds reaches."""

DISTILLED, UNDISTILLED = "distilled", "undistilled"
"""Runs, and rows, that learn from play by dreams: what was found better is imitated, and the control without that."""

AHEAD = "s2-ahead"
"""That play."""

OWN = "-own"
"""Ends the names of scores of dreams about an agent's own actions."""


class Ladder(Places):
    """The plan of one ladder."""

    def jobs(self) -> list[Job]:
        """Return every job of the ladder."""
        return [*self._data(), *self._training(), *self._scores(), *planning_jobs(self)]

    def lookahead_run(self, round_: int) -> str:
        """Return the name of the run that a round of S3 and S4 leads to."""
        return f"lookahead-{round_}"

    # The jobs.

    def _data(self) -> Iterator[Job]:
        config = self.config
        reviewed = config.rounds * config.review_episodes
        yield self._collect("s1", config.episodes, 0)
        yield self._reason("s1", "s2", self.kit.reasoner)
        if self.kit.describer:
            yield self._reason("s1", "described", self.kit.describer)
        yield self._collect("s1-beside", reviewed, config.episodes)
        yield self._reason("s1-beside", "s2-beside", self.kit.reasoner)
        if self.kit.labeller:
            yield self._vision()
        yield Job(
            name="tokenizers",
            arguments=(
                "train-tokenizer",
                *("--data", self.path("s2"), "--out", self.path("tokenizers"), "--preset", config.preset),
                *("--steps", str(config.tokenizer_steps), "--held-out", str(config.tokenizer_held_out)),
                *("--reviewer", self.kit.reviewer, "--resume"),
            ),
            result=self.root / "tokenizers" / "scores.json",
            needs=("s2",),
            threads=0,
        )
        yield self._rehearse()
        for number in range(1, config.rounds + 1):
            yield from self._review(number)
        for number in range(1, len(config.on_policy) + 1):
            yield self._correct(number)
            yield self._reason(f"s1-corrected-{number}", f"s2-corrected-{number}", self.kit.reasoner)
        if config.corrected_lookahead:
            yield self._align_corrected()
        for number in range(1, config.practice_rounds + 1):
            yield self._practise(number)
        if config.ahead_episodes:
            yield self._play_by_dreams()

    def _vision(self) -> Job:
        config = self.config
        return Job(
            name="vision",
            arguments=(
                *("train-vision", "--data", self.path("s1"), "--out", self.path("vision"), "--preset", config.preset),
                *("--labeller", self.kit.labeller, "--steps", str(config.vision_steps), "--resume"),
                *(("--augment",) if config.vision_augment else ()),
            ),
            result=self.root / "vision" / "vision.json",
            needs=("s1",),
        )

    def _collect(self, name: str, episodes: int, skip: int) -> Job:
        words: tuple[str, ...] = ("collect", "--out", self.path(name), "--environment", self.config.environment)
        words += ("--teacher", self.kit.teacher)
        words += ("--noise", str(self.config.noise))
        counts = ("--episodes", str(episodes), "--skip", str(skip), "--resume")
        return Job(name=name, arguments=(*words, *counts, *self.tasks()), result=self.marker(name))

    def _correct(self, number: int) -> Job:
        """Return the job in which the agent of the round before plays, in worlds that none has learned from."""
        config, player = self.config, self.on_policy_run(number - 1)
        untried = () if config.corrections_tried else ("--no-next-frames",)
        flags = ("--mixture", f"{config.on_policy[number - 1]:g}", "--episodes", str(config.on_policy_episodes))
        return self._play(f"s1-corrected-{number}", player, *flags, *untried, "--skip", str(self.taken(number - 1)))

    def _practise(self, number: int) -> Job:
        """Return the job in which the agent of the round before plays for its dreams, in worlds of the round's own."""
        episodes, left = self.config.practice_episodes, self.config.practice_rounds - number + 1
        first = self.taken() - self.config.ahead_episodes - left * episodes
        flags = ("--record", "done", "--episodes", str(episodes), "--skip", str(first))
        return self._play(self.practice(number)[-1], self.practised_run(number - 1), *flags)

    def _play_by_dreams(self) -> Job:
        """Return the job in which the agent that has practised plays by its dreams."""
        episodes = self.config.ahead_episodes
        flags = ("--record", "better", *best_of(*self.config.planning.shown))
        flags += ("--episodes", str(episodes), "--skip", str(self.taken() - episodes))
        return self._play(AHEAD, self.planning_run, *flags)

    def _play(self, name: str, player: str, *flags: str) -> Job:
        """Return the job in which the agent of a run plays, the teacher beside it."""
        words: tuple[str, ...] = ("collect", "--player", self.agent(player), "--out", self.path(name))
        words += ("--environment", self.config.environment, "--teacher", self.kit.teacher)
        words += (*flags, "--resume", *self.worlds(), *self.cut(), *self.tasks())
        return Job(name=name, arguments=words, result=self.marker(name), needs=(player,))

    def _reason(self, source: str, name: str, reasoner: str) -> Job:
        words: tuple[str, ...] = ("reason", "--source", self.path(source), "--out", self.path(name))
        words += ("--reasoner", reasoner, "--resume")
        return Job(name=name, arguments=words, result=self.marker(name), needs=(source,))

    def _rehearse(self) -> Job:
        config = self.config
        words: tuple[str, ...] = ("rehearse", "--source", self.path("s2"), "--out", self.path(TAUGHT))
        words += ("--states", str(config.rehearsed_states), "--slips", str(config.rehearsed_slips))
        words += ("--teacher", self.kit.teacher, "--reviewer", self.kit.reviewer, *self.patience(), "--resume")
        return Job(name=TAUGHT, arguments=words, result=self.marker(TAUGHT), needs=("s2",))

    def _review(self, number: int) -> Iterator[Job]:
        """Yield S3 and S4 of a round, played by the agent of the one before."""
        config = self.config
        player = "basic-1" if number == 1 else self.lookahead_run(number - 1)
        for stage, verb, states in (("s3", "review", config.review_states), ("s4", "align", config.align_states)):
            name = f"{stage}-{number}"
            ahead = ("--dreams", str(config.dreams[0])) if stage == "s4" and number > 1 and config.dreams else ()
            thinks = ("--reasoner", self.kit.reasoner) if stage == "s4" else ()
            yield Job(
                name=name,
                arguments=(
                    *(verb, "--agent", self.agent(player), "--out", self.path(name)),
                    *("--episodes", str(config.review_episodes), "--states", str(states)),
                    *("--skip", str(config.episodes + (number - 1) * config.review_episodes)),
                    *("--teacher", self.kit.teacher, *thinks, "--reviewer", self.kit.reviewer),
                    *("--seed", str(number), "--resume", *ahead, *self.patience(), *self.worlds()),
                    *(*self.cut(), *self.tasks()),
                ),
                result=self.marker(name),
                needs=(player,),
            )

    def _align_corrected(self) -> Job:
        """Return the job that makes S4 in states of the agent of the last on-policy round."""
        config, rounds = self.config, len(self.config.on_policy)
        words: tuple[str, ...] = ("align", "--agent", self.agent(self.on_policy_run(rounds)))
        words += ("--out", self.path(S4_CORRECTED), "--episodes", str(config.on_policy_episodes))
        words += (
            "--states",
            str(config.align_states),
            "--skip",
            str(self.taken(rounds)),
            "--teacher",
            self.kit.teacher,
        )
        words += ("--reasoner", self.kit.reasoner, "--reviewer", self.kit.reviewer, "--resume")
        words += (*self.patience(), *self.worlds(), *self.cut(), *self.tasks())
        needs = (self.on_policy_run(rounds),)
        return Job(name=S4_CORRECTED, arguments=words, result=self.marker(S4_CORRECTED), needs=needs)

    def _training(self) -> Iterator[Job]:
        config = self.config
        base = "base" if self.kit.describer else ""
        if base:
            yield self._train(base, ("--no-dream",), (), config.base_part, threads=0)
        for row, flags in ROWS.items():
            yield self._train(f"{row}-1", flags, ("s2",), config.first_part, start=base)
        known, part = self.learned(0), config.second_part
        for row, flags in ROWS.items():
            yield self._train(f"{row}-2", flags, known, part, start=f"{row}-1")
        reviews = self._reviews(config.rounds)
        yield self._train("control-2", ("--no-dream",), known, part, start="basic-1", lookahead=reviews)
        for number in range(1, config.rounds + 1):
            run, reviews = self.lookahead_run(number), self._reviews(number)
            yield self._train(run, (), known, part, start="basic-1", lookahead=reviews)
        yield from self._more_training()
        cells = len(make_world(config.environment).tasks.variants(config.tasks))
        for row in SCALED:
            for fraction in config.fractions:
                part = config.first_part._replace(steps=self._steps_for(fraction, cells))
                flags = (*ROWS[row], "--fraction", str(fraction))
                yield self._train(f"{row}-{fraction:g}", flags, ("s2",), part, start=base)

    def _more_training(self) -> Iterator[Job]:
        """Yield the training of each on-policy round and round of practice, their controls, and the reviews behind."""
        config = self.config
        part, practice = config.more_part, config.practice_part
        for number in range(1, len(config.on_policy) + 1):
            before = self.on_policy_run(number - 1)
            yield self._train(self.on_policy_run(number), (), self.learned(number), part, start=before)
        for number in range(1, config.practice_rounds + 1):
            # With a share of its own, mostly in place of descriptions: in its small place among all that was taught,
            # practice left dreams seeing success alone.
            before, known, played = self.practised_run(number - 1), self.unpractised_data, self.practice(number)
            yield self._train(self.practised_run(number), (), known, practice, start=before, practice=played)
        if config.ahead_episodes:
            start, known = self.planning_run, self.unpractised_data
            played = (*self.practice(config.practice_rounds), AHEAD)
            taught = partial(self._train, flags=(), data=known, part=config.ahead_part, start=start, practice=played)
            for run, better in ((DISTILLED, (AHEAD,)), (UNDISTILLED, ())):
                yield taught(run, better=better)
        for number in range(1, self.longest + 1):
            before = self.longer_run(number - 1)
            yield self._train(self.longer_run(number), (), self.learned(0), part, start=before)
        if config.corrected_lookahead:
            rounds = len(config.on_policy)
            known, start, reviews = self.learned(rounds), self.on_policy_run(rounds), (S4_CORRECTED, TAUGHT)
            for run, flags in ((CORRECTED, ()), (CORRECTED_CONTROL, ("--no-dream",))):
                yield self._train(run, flags, known, part, start=start, lookahead=reviews)

    def _steps_for(self, fraction: float, cells: int) -> int:
        """Return the steps of a share of the data of so many cells: all, or `epochs` passes if that is sooner."""
        config = self.config
        conversations = config.steps_per_episode * cells * config.episodes * fraction * config.epochs
        return max(1, min(config.steps, round(conversations / config.batch_size)))

    def _train(
        self,
        run: str,
        flags: Sequence[str],
        data: Sequence[str],
        part: Part,
        *,
        start: str = "",
        lookahead: Sequence[str] = (),
        practice: Sequence[str] = (),
        better: Sequence[str] = (),
        threads: int = 1,
    ) -> Job:
        config = self.config
        words = ["train", "--preset", config.preset, "--tokenizers", self.path("tokenizers")]
        words += ["--out", str(self.root / "train" / run), "--steps", str(part.steps)]
        words += ["--batch-size", str(part.batch_size)]
        described = "described" if self.kit.describer else ""
        words += ["--describe", self.path(described)] if described else []
        words += ["--learning-rate", str(part.rate), "--resume", *flags]
        words += ["--data", *(self.path(name) for name in data)] if data else []
        words += ["--describe-share", f"{part.describe_share:g}"] if data and described else []
        words += ["--history", str(config.history)] if config.history > 1 else []
        words += ["--repeats", f"{config.repeats:g}"] if data and config.repeats < 1 else []
        if practice:
            words += ["--practice", *(self.path(name) for name in practice)]
            words += ["--practice-share", f"{part.practice_share:g}"]
        if better:
            words += ["--better", *(self.path(name) for name in better), "--better-share", f"{config.better_share:g}"]
        if lookahead:
            words += ["--lookahead", *(self.path(name) for name in lookahead)]
            words += ["--lookahead-share", str(config.lookahead_share)]
            words += [] if "--no-dream" in flags else ["--read-back", *config.read_back]
        eyes = "vision" if self.kit.labeller and not start else ""
        words += ["--start", self.agent(start)] if start else []
        words += ["--vision", self.path(eyes)] if eyes else []
        words += [] if config.compile else ["--no-compile"]
        needs = tuple(filter(None, ("tokenizers", described, *data, *practice, *better, *lookahead, start, eyes)))
        result = Path(self.agent(run)) / "agent.json"
        return Job(name=run, arguments=tuple(words), result=result, needs=needs, threads=threads)

    def _scores(self) -> Iterator[Job]:
        config, last = self.config, self.lookahead_run(self.config.rounds)
        yield self._eval("teacher", BY_TEACHER + self.kit.teacher, episodes=config.teacher_episodes)
        yield self._eval("random", BY_TEACHER + "random")
        for row in ROWS:
            yield self._eval(row, f"{row}-2")
        if rounds := len(config.on_policy):
            yield self._eval("on-policy", self.on_policy_run(rounds))
        if config.practice_rounds:
            yield self._eval(PRACTISED, self.planning_run, episodes=config.claim_episodes)
        for run in (DISTILLED, UNDISTILLED) if config.ahead_episodes else ():
            yield self._eval(run, run, episodes=config.claim_episodes)
        for control in self.controls:
            closely = config.practice_rounds and control == self.planning_control
            yield self._eval(control, control, episodes=config.claim_episodes if closely else 0)
        if config.corrected_lookahead:
            for dreams in (0, *config.dreams):
                yield self._eval(f"{CORRECTED}-{dreams}", CORRECTED, dreams=dreams)
            yield self._eval(CORRECTED_CONTROL, CORRECTED_CONTROL, dreams=1)
        yield self._eval("control", "control-2", dreams=1)
        yield self._eval("control-0", "control-2")
        for dreams in (0, *config.dreams):
            yield self._eval(f"lookahead-{dreams}", last, dreams=dreams)
        for dreams in config.sweep:
            yield self._eval(f"sweep-{dreams}", last, dreams=dreams, tasks=config.sweep_tasks)
        for dreams in config.dreams[:1]:
            yield self._eval(f"codes-{dreams}", last, dreams=dreams, tasks=config.sweep_tasks, read_back="codes")
        for row in SCALED if config.fractions else ():
            yield self._eval(f"{row}-all", f"{row}-1")
            for fraction in config.fractions:
                yield self._eval(f"{row}-{fraction:g}", f"{row}-{fraction:g}")
        for row in ("imagine", "basic"):
            yield self._imagine(row, f"{row}-2")
        yield self._imagine("lookahead", last)
        yield self._imagine("lookahead-chain", last, "--context", "lookahead")
        practised = [(PRACTISED, self.planning_run)] if config.practice_rounds else []
        for row, run in (("basic", "basic-2"), *practised, ("lookahead", last)):
            yield self._imagine(f"{row}{OWN}", run, "--actions", "agent", "--depth", "1", *self.cut())

    def _eval(
        self,
        name: str,
        run: str,
        *,
        dreams: int = 0,
        tasks: Sequence[str] = (),
        read_back: str = "pixels",
        episodes: int = 0,
    ) -> Job:
        is_teacher = run.startswith(BY_TEACHER)
        words = ["--dreams", str(dreams)] if dreams else []
        words += ["--read-back", read_back] if read_back != "pixels" else []
        words += ["--environment", self.config.environment] if is_teacher else []
        return self.eval_job(
            name,
            run if is_teacher else self.agent(run),
            *words,
            needs=() if is_teacher else (run,),
            episodes=episodes,
            cut=name != "teacher",
            tasks=tasks,
        )

    def _imagine(self, name: str, run: str, *flags: str) -> Job:
        out = self.root / "imagine" / name
        words: tuple[str, ...] = ("imagine", "--agent", self.agent(run), "--out", str(out))
        words += ("--chains", str(self.config.chains), *self.worlds())
        words += ("--teacher", self.kit.teacher, "--reasoner", self.kit.reasoner)
        return Job(
            name=f"imagine-{name}",
            arguments=(*words, *flags, *self.tasks()),
            result=out / IMAGINATION,
            needs=(run,),
        )

    def _reviews(self, until: int) -> tuple[str, ...]:
        """Return the names of S3's and S4's datasets of all rounds up to `until`, and of the rehearsal."""
        return (*(f"{stage}-{number}" for stage in ("s3", "s4") for number in range(1, until + 1)), TAUGHT)
