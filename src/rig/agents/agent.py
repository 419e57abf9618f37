"""A trained agent as a library gives it: `rig.load_agent`.

agent = load_agent("checkpoints/rig-crafter-small", planner=Lookahead(dreams=1))
decision = agent.decide(frame, "collect wood")
frames = agent.dream(frame, [decision.action, "move_left"])
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from zlib import crc32

from rig.actions import NOOP, Action, ActionSpace
from rig.agents.checkpoint import About, Dtype, about_agent
from rig.agents.how import HowToPlay, load_policy
from rig.agents.hub import agent_folder
from rig.agents.planners import Basic, Planner
from rig.agents.policy import Policy
from rig.agents.walk import DreamWalk
from rig.errors import RigError
from rig.model.fit import unfit_frame
from rig.records import Decision, Frame, Observation
from rig.shipped import DEFAULT_WORLD, shipped_agent


def load_agent(
    agent: Path | str | None = None,
    *,
    planner: Planner | None = None,
    temperature: float = 0.5,
    thought_tokens: int = 96,
    entropy_threshold: float = 0.0,
    read_back: Literal["pixels", "codes"] = "pixels",
    dtype: Dtype = "auto",
    seed: int = 0,
    revision: str | None = None,
) -> Agent:
    """Return a trained agent, ready to decide and to dream.

    Args:
        agent: its folder, or the id of its repository on a hub, "owner/name" or "owner/name@revision"; None is the one
            that comes with rig.
        planner: how it comes to decisions: `rig.Basic()`, which None is too, thinks and acts; `rig.Lookahead(dreams=n)`
            dreams n steps ahead and reviews its plan; `rig.BestOf(plans=k)` takes the best of several.
        temperature: of thoughts and actions; 0 takes the likeliest. Dreams always take the likeliest.
        thought_tokens: the longest thought.
        entropy_threshold: write a code of a dream at once where its entropy, in nats, is below this, which takes few
            passes (0.1 is a good choice); 0 writes a dream exactly as one code after the other.
        read_back: how it reads its own dreams: as "pixels", or as the "codes" that they were written in.
        dtype: what the network computes in: "float32", "bfloat16", or "auto": float32 on a CPU, bfloat16 on a GPU that
            multiplies it.
        seed: what the draws of decisions follow from that are given no seed of their own.
        revision: of a repository on a hub: a branch, a tag or a commit.

    Raises:
        CheckpointError: there is no such agent, or a file of it is missing or spoilt.
        MissingDependencyError: it is on a hub, and huggingface_hub is not installed.
        RigError: it cannot decide so.
    """
    folder = agent_folder(shipped_agent(DEFAULT_WORLD) if agent is None else agent, revision)
    about = about_agent(folder)
    how = HowToPlay(
        planner_for=lambda prompt_format: planner or Basic(),
        read_back=read_back,
        entropy_threshold=entropy_threshold,
        thought_tokens=thought_tokens,
        temperature=temperature,
        dtype=dtype,
    )
    return Agent(load_policy(folder, how, about.environment), about, seed=seed)


class Agent:
    """A trained agent that decides and dreams; made by `rig.load_agent`.

    Args:
        policy: who decides.
        about: what its folder says of it.
        seed: what the draws of decisions follow from that are given no seed of their own.
    """

    def __init__(self, policy: Policy, about: About, seed: int = 0) -> None:
        self._policy, self._about, self._seed, self._made = policy, about, seed, 0

    @property
    def actions(self) -> ActionSpace:
        """The keys and the camera that it decides with."""
        return self._policy.space

    @property
    def environment(self) -> str:
        """The name of the world that it was trained in, as `rig.make_world` takes it."""
        return self._about.environment

    def decide(
        self,
        frame: Frame,
        instruction: str,
        previous_action: Action | str = NOOP,
        *,
        earlier_actions: Sequence[Action | str] = (),
        seed: int | None = None,
    ) -> Decision:
        """Return what it decides to do: an action, with the thought, the dreams and the review that led to it.

        Args:
            frame: what is seen, uint8 [H, W, 3].
            instruction: the task as text.
            previous_action: what was executed last, as an action or as its text; nothing at the start.
            earlier_actions: what was executed before that, newest first; for agents that remember it.
            seed: the decision follows from what is seen and from this alone; None takes the next of the agent's own.

        Raises:
            RigError: this is no frame, the instruction is too long or holds a phrase of the prompt, or the world has no
                such action.
        """
        executed = [self._action(action) for action in (previous_action, *earlier_actions)]
        seen = Observation(
            frame=frame, instruction=instruction, previous_action=executed[0], earlier_actions=tuple(executed[1:])
        )
        self._policy.check_observation(seen)
        return self._policy.decide([seen], [self._next_seed() if seed is None else seed])[0]

    def dream(
        self,
        frame: Frame,
        actions: Sequence[Action | str],
        instruction: str = "",
        *,
        thoughts: Sequence[str] | None = None,
    ) -> list[Frame]:
        """Return the frames that it imagines to follow a frame when actions are done one after the other.

        Each is dreamed of the frame before it alone, so that there may be any number.

        Args:
            frame: where it begins, uint8 [H, W, 3].
            actions: what is done, as actions or as their texts.
            instruction: the task as text; none is needed.
            thoughts: what is thought before each action; nothing where None.

        Returns:
            A frame for each action, of the size of `frame`.

        Raises:
            RigError: the agent does not dream, this is no frame, the world has no such action, or there is not a
                thought for each.
        """
        said = [""] * len(actions) if thoughts is None else thoughts
        if len(said) != len(actions):
            raise RigError(f"{len(said)} thoughts for {len(actions)} actions; give one for each")
        walk = DreamWalk(self._policy, Observation(frame=frame, instruction=instruction, previous_action=NOOP))
        frames = list[Frame]()
        for action, thought in zip(map(self._action, actions), said, strict=True):
            dreamed = walk.follow(action, thought).frame
            assert dreamed is not None
            frames.append(unfit_frame(dreamed, *frame.shape[:2]))
        return frames

    def _action(self, action: Action | str) -> Action:
        if isinstance(action, str):
            return self.actions.parse(action)
        self.actions.check(action)
        return action

    def _next_seed(self) -> int:
        self._made += 1
        return decision_seed(self._seed, self._made - 1)


def decision_seed(seed: int, number: int) -> int:
    """Return the seed of a decision, the `number`-th from 0 of those that follow from `seed`."""
    return crc32(f"{seed}/{number}".encode())
