"""Watch: an agent plays, and is heard thinking; it can be held, taken over, handed back, and asked again."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from rig.agents.agent import decision_seed
from rig.agents.heard import Given, Heard
from rig.errors import RigError
from rig.playground import messages as said
from rig.playground.hall import Hall
from rig.playground.mind import Thinking
from rig.playground.views import picture, refuse
from rig.records import Decision


class Watch:
    """The view; see `rig.playground.views.ViewState`.

    Args:
        hall: the world and the agent.

    Attributes:
        planner: how it comes to decisions.
    """

    def __init__(self, hall: Hall) -> None:
        self._hall, self.planner = hall, hall.mind.first
        self._by_keys = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Stand before another episode, and wait to be told to go on."""
        self._scene = self._hall.scene
        self._runs = self._acts_once = False
        self._asks = 0
        self._given = Given()
        self._thinking: Thinking | None = None
        self._decision: Decision | None = None

    def show(self) -> None:
        """Tell the page all of it."""
        if self._scene is not self._hall.scene:
            self._begin_anew()
            self._hall.tell("begun", step=0, instruction=self._hall.scene.instruction)
        self._tell_scene()
        self._tell_state()

    def hide(self) -> None:
        """Stand still."""
        self._runs = self._acts_once = False

    def close(self) -> None:
        """There is nothing to keep."""

    def handle(self, told: said.Said) -> None:
        """Do what the page says.

        Raises:
            RigError: that cannot be done now.
        """
        match told:
            case said.Run():
                self._refuse_ended()
                self._runs, self._by_keys = True, False
                self._think()
            case said.Pause():
                self._runs = self._acts_once = False
            case said.Step():
                self._step()
            case said.TakeOver():
                self._take_over()
            case said.HandBack():
                self._by_keys = False
            case said.Press():
                self._press(told)
            case said.AskAgain():
                self._ask(told)
            case said.Planner():
                self._plan_by(told.planner)
            case _:
                raise refuse(told, "watch")
        self._tell_state()

    def wait(self) -> float | None:
        """Return 0 while something is being thought, or is to be done."""
        return 0.0 if self._thinking is not None or self._is_due else None

    def go_on(self) -> None:
        """Run a pass, or do what is decided where it is to be done."""
        if self._thinking is not None:
            self._listen(self._thinking)
        if self._is_due:
            self._act()

    @property
    def _is_due(self) -> bool:
        return self._decision is not None and (self._runs or self._acts_once)

    def _step(self) -> None:
        self._refuse_ended()
        self._runs = self._by_keys = False
        self._acts_once = self._decision is not None or self._thinking is not None
        self._think()

    def _take_over(self) -> None:
        self._refuse_ended()
        self._forget()
        self._runs, self._by_keys = False, True

    def _press(self, told: said.Press) -> None:
        if not self._by_keys:
            raise RigError("the agent decides; take over first")
        self._hall.scene.act(self._hall.world.actions.quantise(frozenset(told.keys), told.turn))
        self._asks = 0
        self._tell_scene()

    def _ask(self, told: said.AskAgain) -> None:
        """Decide again; where something else is said, by the same draws, so that this alone makes the difference."""
        self._refuse_ended()
        scene, before = self._hall.scene, self._hall.scene.instruction
        edits = (told.instruction, told.thought, told.review)
        if told.instruction is not UNSET:
            scene.instruction = str(told.instruction)
        given = Given(thought=_given(told.thought), review=_given(told.review))
        asks = self._asks + all(each is UNSET for each in edits)
        try:
            thinking = self._begin(given, asks)
        except RigError:
            scene.instruction = before
            raise
        self._forget()
        self._by_keys = self._runs = False
        self._asks, self._given, self._thinking = asks, given, thinking
        self._tell_scene()
        self._hall.tell("begun", step=scene.steps, instruction=scene.instruction)

    def _plan_by(self, planner: str) -> None:
        if planner not in self._hall.mind.policies:
            raise RigError(f"there is no planner {planner!r}; there are {', '.join(self._hall.mind.policies)}")
        self.planner = planner
        if self._thinking is not None or self._decision is not None:
            self._forget()
            self._think()

    def _forget(self) -> None:
        self._thinking = self._decision = None
        self._given, self._acts_once = Given(), False

    def _think(self) -> None:
        """Begin to think, where nothing is thought or decided yet."""
        if self._thinking is None and self._decision is None and not self._hall.scene.outcome:
            self._thinking = self._begin(self._given, self._asks)
            self._hall.tell("begun", step=self._hall.scene.steps, instruction=self._hall.scene.instruction)

    def _begin(self, given: Given, asks: int) -> Thinking:
        scene = self._hall.scene
        first = scene.episode.decision_seed(scene.steps)
        seed = decision_seed(first, asks) if asks else first
        return Thinking(self._hall.mind, self.planner, scene.observation, seed, given)

    def _listen(self, thinking: Thinking) -> None:
        for heard in thinking.advance():
            self._tell_heard(heard)
        if thinking.decision is not None:
            self._thinking, self._decision = None, thinking.decision
            self._tell_decision(thinking.decision)
            self._tell_state()

    def _act(self) -> None:
        """Do what is decided, and begin to think what comes then."""
        decision, self._decision = self._decision, None
        assert decision is not None
        self._acts_once, self._given, self._asks = False, Given(), 0
        scene = self._hall.scene
        scene.act(decision.action)
        self._runs = self._runs and not scene.outcome
        self._tell_scene()
        self._think()
        self._tell_state()

    def _refuse_ended(self) -> None:
        if self._hall.scene.outcome:
            raise RigError("this episode has ended; begin another one")

    def _tell_scene(self) -> None:
        self._hall.tell("scene", frame=picture(self._hall.scene.frame), **self._hall.scene.told())

    def _tell_state(self) -> None:
        self._hall.tell(
            "state",
            runs=self._runs,
            by_keys=self._by_keys,
            thinks=self._thinking is not None,
            decided=self._decision is not None,
            planner=self.planner,
        )

    def _tell_heard(self, heard: Heard) -> None:
        values: dict[str, Any] = {name: getattr(heard, name) for name in _TOLD}
        dream = heard.dream
        if dream is not None:
            values |= {"entropy": dream.entropy}
            values |= {} if dream.frame is None else {"frame": picture(dream.frame, like=self._hall.scene.frame)}
        self._hall.tell("heard", **values)

    def _tell_decision(self, decision: Decision) -> None:
        write = self._hall.world.actions.format
        plans = [
            {"action": write(plan.action), "votes": plan.votes, "score": plan.score, "judgement": plan.judgement}
            for plan in decision.plans
        ]
        self._hall.tell(
            "decision",
            action=write(decision.action),
            thought=decision.thought,
            plans=plans,
            chosen=decision.chosen,
            review=None if decision.review is None else {"helped": decision.review.helped},
            seconds=decision.cost.seconds,
        )


_TOLD = ("part", "way", "depth", "review", "text", "is_whole")


def _given(text: Any) -> str | None:
    return None if text is UNSET else str(text)
