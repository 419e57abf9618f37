"""An episode that a person plays, step by step, with a log from which it can be played again should everything die."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from zlib import crc32

from rig.actions import Action
from rig.envs import World
from rig.envs.rollout import Episode, trajectory_of
from rig.envs.spool import StepSpool
from rig.errors import RigError
from rig.playground.scene import Scene
from rig.records import TEACHER, Frame, Lineage, Step, Trajectory
from rig.storage import append_json_line, read_json_lines
from rig.validation import validated

ACTOR = "playground"
"""Who acted, as lineage has it: a person."""

_FIX = "remove it: it is no log of a recording"


@dataclass(frozen=True, kw_only=True)
class _Head:
    """The first line of a log."""

    environment: str
    task: str
    setting: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Line:
    """Every further one: what was done, and the checksum of the frame that came of it."""

    action: str
    frame: int


class Take:
    """An episode that is being recorded.

    Args:
        scene: the episode, which has just begun.
        log: the file that its actions go to as they are done; it is begun.

    Attributes:
        scene: the same.
        log: the same.
        steps: what was played.
    """

    def __init__(self, scene: Scene, log: Path) -> None:
        assert not scene.steps, "what was played before cannot be recorded"
        self.scene, self.log, self.steps = scene, log, StepSpool()
        append_json_line(log, asdict(_Head(environment=scene.world.name, **vars(scene.episode))))

    def act(self, action: Action) -> None:
        """Do something, and take it down.

        Raises:
            RigError: as of `Scene.act`; or there is no room for it.
        """
        step = _played(self.scene, action)
        line = _Line(action=self.scene.world.actions.format(action), frame=_checksum(step.next_frame))
        append_json_line(self.log, asdict(line))
        self.steps.append(step)


def trajectory_under(name: str, scene: Scene, steps: Sequence[Step]) -> Trajectory:
    """Return what was played in a scene as a trajectory of stage S0, under a name of its own."""
    lineage = Lineage(stage="s0", actor=ACTOR)
    return replace(trajectory_of(scene.world, scene.episode, steps, lineage), id=name)


def played_again(log: Path, world: World) -> tuple[Scene, StepSpool, int]:
    """Play once more what a log tells; return the scene, its steps, and how many further steps could not be had.

    Args:
        log: of a take that nobody kept.
        world: where to play it. Every frame is compared with that of then; at one that differs it ends.

    Raises:
        RigError: it is no log, or of another world.
        SimulatorError: the engine did not start.
    """
    lines = read_json_lines(log)
    if not lines:
        raise RigError(f"{log} is empty; {_FIX}")
    head = validated(lines[0], _Head, log, _FIX)
    done = [validated(line, _Line, log, _FIX) for line in lines[1:]]
    if head.environment != world.name:
        raise RigError(f"{log} is of {head.environment!r}, and {world.name!r} is played; it stays for when that is")
    scene = Scene(world, Episode(task=head.task, setting=head.setting, seed=head.seed))
    steps = StepSpool()
    for line in done:
        if scene.outcome:
            break
        step = _played(scene, world.actions.parse(line.action))
        if _checksum(step.next_frame) != line.frame:
            break
        steps.append(step)
    return scene, steps, len(done) - len(steps)


def _played(scene: Scene, action: Action) -> Step:
    """Do something in a scene, and return the step that it was."""
    seen, facts, index = scene.observation, scene.facts, scene.steps
    after = scene.act(action)
    return Step(
        index=index,
        frame=seen.frame,
        instruction=seen.instruction,
        previous_action=seen.previous_action,
        earlier_actions=seen.earlier_actions,
        action=action,
        next_frame=after,
        actor=TEACHER,
        reward=scene.reward,
        privileged=facts,
    )


def _checksum(frame: Frame | None) -> int:
    assert frame is not None
    return crc32(frame.tobytes())
