"""Where the things of a ladder lie, who works for it, and the flags that many of its commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from rig.annotators.kit import with_kit
from rig.evaluate.saved import SUMMARY
from rig.recipes.config import LadderConfig
from rig.recipes.jobs import Job

PRACTISED = "practised"
"""The row of the RIG-basic whose dreams have learned from its own play; begins the names of its runs."""

LONGER = "longer"
"""Begins the names of the controls that take as many steps more, on what RIG-basic had already."""


@dataclass(frozen=True)
class Kit:
    """The names of all who work for a ladder; "" for nobody."""

    teacher: str
    reasoner: str
    reviewer: str
    labeller: str
    describer: str


@dataclass(frozen=True)
class Places:
    """The places of one ladder.

    Args:
        config: its budgets.
        root: folder of everything it makes.
    """

    config: LadderConfig
    root: Path

    @cached_property
    def kit(self) -> Kit:
        """Who works in the ladder's world: who is named, or else who the world's kit names.

        Raises:
            RigError: there is no teacher, Reasoner or Reviewer.
        """
        named = with_kit(self.config, self.config.environment, spared=("labeller", "describer"))
        return Kit(*(getattr(named, field.name) for field in fields(Kit)))

    def path(self, name: str) -> str:
        """Return the folder of what is called `name`."""
        return str(self.root / name)

    def agent(self, run: str) -> str:
        """Return the folder of the agent that a run made."""
        return str(self.root / "train" / run / "agent")

    def marker(self, name: str) -> Path:
        """Return the file that is there once the dataset `name` is."""
        return self.root / name / "manifest.json"

    def eval_job(
        self,
        name: str,
        agent: str,
        *flags: str,
        needs: tuple[str, ...] = (),
        episodes: int = 0,
        cut: bool = True,
        tasks: Sequence[str] = (),
    ) -> Job:
        """Return the job of a row's evaluation.

        Args:
            name: of the row.
            agent: who plays: a folder, or a teacher.
            flags: how.
            needs: jobs that come first.
            episodes: per task and setting; 0 for as many as rows have.
            cut: whether episodes are cut as agents' are.
            tasks: what is played; the ladder's where none is given.
        """
        out, episodes = self.root / "eval" / name, episodes or self.config.evaluation_episodes
        words: tuple[str, ...] = ("eval", "--agent", agent, "--out", str(out))
        words += ("--episodes", str(episodes), "--resume", *self.worlds(), *flags)
        words += (*(self.cut() if cut else ()), *self.tasks(tasks))
        return Job(name=f"eval-{name}", arguments=words, result=out / SUMMARY, needs=needs, episodes=episodes)

    def taken(self, rounds: int | None = None) -> int:
        """Return how many worlds per task and setting are learned from before `rounds` on-policy rounds are over.

        Args:
            rounds: None for all that there are, the reviews behind them, the practice, and the play by dreams.
        """
        config = self.config
        after = len(config.on_policy) + config.corrected_lookahead if rounds is None else rounds
        before = config.episodes + config.rounds * config.review_episodes + after * config.on_policy_episodes
        alone = config.practice_rounds * config.practice_episodes + config.ahead_episodes
        return before + (alone if rounds is None else 0)

    def on_policy_run(self, round_: int) -> str:
        """Return the name of the run that an on-policy round leads to; RIG-basic's for round 0."""
        return f"on-policy-{round_}" if round_ else "basic-2"

    def learned(self, rounds: int) -> tuple[str, ...]:
        """Return the names of what the agent behind so many on-policy rounds has learned from, in its second part."""
        return ("s2", "s2-beside", *(f"s2-corrected-{number}" for number in range(1, rounds + 1)))

    def practised_run(self, round_: int) -> str:
        """Return the name of the run that a round of practice leads to; for round 0 that of the agent to practise."""
        return f"{PRACTISED}-{round_}" if round_ else self.on_policy_run(self._planning_rounds)

    def practice(self, rounds: int) -> tuple[str, ...]:
        """Return the names of what the agent thought and did by itself in so many rounds, which dreams learn from."""
        return tuple(f"s2-practice-{number}" for number in range(1, rounds + 1))

    def longer_run(self, rounds: int) -> str:
        """Return the name of the run that takes as many steps as so many rounds, without what they add."""
        return f"{LONGER}-{rounds}" if rounds else "basic-2"

    @property
    def on_policy_control(self) -> str:
        """The run, and row, of as many steps as the agent of the last on-policy round has taken."""
        return self.longer_run(len(self.config.on_policy))

    @property
    def planning_control(self) -> str:
        """The run, and row, of as many steps as the agent that makes plans has taken."""
        return self.longer_run(self._rounds_behind)

    @property
    def controls(self) -> list[str]:
        """Those of them that take more steps than RIG-basic."""
        return sorted({self.on_policy_control, self.planning_control} - {self.longer_run(0)})

    @property
    def longest(self) -> int:
        """How many rounds the longest of them takes."""
        return max(len(self.config.on_policy), self._rounds_behind)

    @property
    def unpractised_data(self) -> tuple[str, ...]:
        """The names of what the RIG-basic whose dreams are practised has learned from, corrections and all."""
        return self.learned(self._planning_rounds)

    @property
    def planning_run(self) -> str:
        """The run of the RIG-basic that planning and learning from its own play begin with."""
        return self.practised_run(self.config.practice_rounds)

    @property
    def planning_data(self) -> tuple[str, ...]:
        """The names of what that agent has learned from, practice and all."""
        return (*self.unpractised_data, *self.practice(self.config.practice_rounds))

    @property
    def planning_row(self) -> str:
        """The row of that agent."""
        if self.config.practice_rounds:
            return PRACTISED
        return "on-policy" if self._planning_rounds else "basic"

    @property
    def _planning_rounds(self) -> int:
        return len(self.config.on_policy) if self.config.planning.corrected else 0

    @property
    def _rounds_behind(self) -> int:
        """How many rounds the agent that makes plans has behind it, on policy and of practice."""
        return self._planning_rounds + self.config.practice_rounds

    def patience(self) -> tuple[str, str]:
        """Return the flags of how long a teacher may take."""
        return ("--patience", str(self.config.patience))

    def cut(self) -> tuple[str, ...]:
        """Return the flags of where agents' episodes are cut."""
        return ("--most-steps", str(self.config.most_steps)) if self.config.most_steps else ()

    def worlds(self) -> tuple[str, str]:
        """Return the flags of how many worlds are played side by side."""
        return ("--batch-size", str(self.config.worlds))

    def tasks(self, tasks: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the flags of what is played: these, or the ladder's where none is given."""
        played = tasks or self.config.tasks
        return ("--tasks", *played) if played else ()
