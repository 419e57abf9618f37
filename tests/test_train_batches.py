"""A trainer learns from whatever makes packs: fresh ones, with weights, that go on where they were cut."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_makers import CONFIG, WARM, conversation, joined, part, text_sequence, thought
from makers import interrupted_at_a_save
from sessions import Session
from test_train import state_of

from rig.dialogue import Role
from rig.engine import Engine
from rig.errors import RigError
from rig.model import RIG, pack
from rig.train import TrainingConfig
from rig.train.batches import BatchProgress, StepPacks
from rig.train.loop import Trainer
from rig.train.loss import means, token_losses
from rig.train.optimise import OptimiserConfig
from rig.train.runs import Run

DOCUMENTS = [conversation(seed) for seed in range(3)]
LENGTH = 2 * max(map(len, DOCUMENTS))
TRAINING = TrainingConfig(
    steps=4, compile=False, log_every=2, save_every=2, preview_every=0, optimiser=OptimiserConfig(learning_rate=3e-3)
)


def loss_of(model, document):
    """The mean cross-entropy of a document, as the network is now."""
    with torch.no_grad():
        sums = token_losses(model.eval(), pack([document]), TRAINING.weights).sums
    return float(sums[:, 0].sum() / sums[:, 1].sum())


class Bandit:
    """Fresh packs that depend on what is learned: documents drawn at random, each weighed by its advantage.

    The reward is how surprised the network still is, against a baseline that follows it: both are its state.
    """

    ahead = False

    def __init__(self, model, steps=None):
        self.model, self.steps = model, steps
        self.modes, self.weights = [], []
        self._taken = self._tokens = self._conversations = 0
        self._baseline = torch.zeros((), dtype=torch.float64)

    def progress(self):
        counts = torch.tensor([self._tokens, self._conversations])
        state = {"counts": counts, "baseline": self._baseline.clone()}
        return BatchProgress(conversations=self._conversations, tokens=self._tokens, state=state)

    def next_packs(self):
        self.modes.append(self.model.training)
        random = np.random.default_rng([7, self._taken])
        packs = []
        for _ in range(1 + self._taken % 2):  # as many as there happen to be
            chosen = [DOCUMENTS[index] for index in random.integers(0, len(DOCUMENTS), 2)]
            advantages = [loss_of(self.model, one) - float(self._baseline) for one in chosen]
            self._baseline += 0.9 * np.mean(advantages)
            self.weights += advantages
            weighed = [
                replace(one, weights=(one.weights * value).astype(np.float32))
                for one, value in zip(chosen, advantages, strict=True)
            ]
            packs.append((pack(weighed, length=LENGTH), 2))
        self._taken += 1
        self._tokens += LENGTH * len(packs)
        self._conversations += 2 * len(packs)
        return StepPacks(packs=packs, progress=self.progress())

    def go_on(self, step, state):
        self._taken, self._baseline = step, state["baseline"].clone()
        self._tokens, self._conversations = state["counts"].tolist()


def trained(folder, *, resume=False, config=TRAINING):
    model = RIG(CONFIG, seed=0)
    packs = Bandit(model)
    with Run(folder, config, resume=resume) as run:
        totals = Trainer(model, packs, config, run).fit()
    return packs, totals


def lines_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("tokens_per_second", "mfu")} for line in lines]


def test_fresh_packs_that_depend_on_what_is_learned_go_on_bit_by_bit(tmp_path):
    packs, totals = trained(tmp_path / "whole")
    assert (totals["steps"], totals["tokens"], totals["conversations"]) == (4, 6 * LENGTH, 12)
    assert min(packs.weights) < 0 < max(packs.weights)
    assert packs.modes == [True] * 4, "whoever drew them left it in evaluation mode"
    with interrupted_at_a_save(2):
        trained(tmp_path / "cut")
    again, found = trained(tmp_path / "cut", resume=True)
    assert again.weights == packs.weights[-len(again.weights) :], "as rewarded as without the cut"
    assert len(again.modes) == 2
    states = [state_of(tmp_path / name) for name in ("whole", "cut")]
    assert float(states[0]["baseline"]) > 1
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items() if name != "seconds")
    assert lines_of(tmp_path / "whole") == lines_of(tmp_path / "cut")
    assert {name: value for name, value in found.items() if name != "seconds"} == {
        name: value for name, value in totals.items() if name != "seconds"
    }


class Player:
    """What the network itself says, learned as it is said: one engine plays what the trainer trains."""

    steps, ahead = None, False

    def __init__(self, model):
        self._engine, self._taken = Engine(model, capacity=480), 0
        self.said, self.anew = [], []

    def progress(self):
        return BatchProgress(conversations=self._taken, tokens=LENGTH * self._taken, state={})

    def next_packs(self):
        self._engine.refresh()
        opening = part(DOCUMENTS[0], 0, 60)
        for engine, said in ((self._engine, self.said), (Engine(self._engine.model, capacity=480), self.anew)):
            session = Session(engine, [self._taken])
            session.append([0], [opening])
            said += session.write_text([0], [thought(12)], WARM)
        text = text_sequence(self.said[-1], int(opening.positions[-1]) + 1)
        learned = replace(
            text, roles=np.full(len(text), Role.THOUGHT, np.uint8), weights=np.ones(len(text), np.float32)
        )
        self._taken += 1
        plain = replace(opening, weights=np.zeros_like(opening.weights))
        return StepPacks(packs=[(pack([joined(plain, learned)], length=LENGTH), 1)], progress=self.progress())

    def go_on(self, step, state):
        self._taken = step


def test_one_engine_plays_what_is_being_trained(tmp_path):
    """Every step's words are those of a new engine over the weights of that step, and they are learned."""
    model = RIG(CONFIG, seed=0)
    packs = Player(model)
    with Run(tmp_path / "run", TRAINING) as run:
        Trainer(model, packs, TRAINING, run).fit()
    assert packs.said == packs.anew
    stale = Session(Engine(RIG(CONFIG, seed=0), capacity=480), [TRAINING.steps - 1])
    stale.append([0], [part(DOCUMENTS[0], 0, 60)])
    assert stale.write_text([0], [thought(12)], WARM)[0] != packs.said[-1], "learning changed what is said"
    assert lines_of(tmp_path / "run")[-1]["tokens"] == TRAINING.steps * LENGTH


class Given:
    """The same packs in every step, as many steps as are said."""

    ahead = True

    def __init__(self, *packs, steps=None, name="taken"):
        self.packs, self.steps, self._name, self._taken = [(one, 2) for one in packs], steps, name, 0

    def progress(self):
        count = self._taken * len(self.packs)
        return BatchProgress(
            conversations=2 * count, tokens=LENGTH * count, state={self._name: torch.tensor(self._taken)}
        )

    def next_packs(self):
        self._taken += 1
        return StepPacks(packs=self.packs, progress=self.progress())

    def go_on(self, step, state):
        self._taken = step


def test_what_weighs_less_than_nothing_is_unlearned(tmp_path):
    model = RIG(CONFIG, seed=0)
    liked, disliked = DOCUMENTS[0], replace(DOCUMENTS[1], weights=-0.5 * DOCUMENTS[1].weights)
    before = loss_of(model, DOCUMENTS[0]), loss_of(model, DOCUMENTS[1])
    with Run(tmp_path / "run", TRAINING) as run:
        Trainer(model, Given(pack([liked, disliked], length=LENGTH)), TRAINING, run).fit()
    after = loss_of(model, DOCUMENTS[0]), loss_of(model, DOCUMENTS[1])
    assert after[0] < before[0] - 0.05
    assert after[1] > after[0] + (before[1] - before[0]) + 0.05


def test_a_step_in_which_nothing_weighs_anything_changes_no_weight(tmp_path):
    """As where every group of branches went equally well; the optimiser's averages are at rest, and nothing decays."""
    model, first = RIG(CONFIG, seed=0), RIG(CONFIG, seed=0).state_dict()
    silent = [replace(one, weights=np.zeros_like(one.weights)) for one in DOCUMENTS[:2]]
    config = replace(TRAINING, steps=2, optimiser=OptimiserConfig(weight_decay=0.0))
    with Run(tmp_path / "run", config) as run:
        Trainer(model, Given(pack(silent, length=LENGTH)), config, run).fit()
    assert all(torch.equal(value, first[name]) for name, value in model.state_dict().items())
    assert lines_of(tmp_path / "run")[-1]["norm"] == 0
    assert means(torch.zeros(3, 3)) == {}


class Thinning(Given):
    """The packs of the first step, and padding alone from then on."""

    def next_packs(self):
        given = super().next_packs()
        empty = [(pack([], length=LENGTH), 0)]
        return given if self._taken == 1 else replace(given, packs=empty)


def test_a_step_in_which_nothing_is_predicted_moves_nothing_by_what_was_learned_before(tmp_path):
    """An optimiser that remembers the steps before would go on, and weights would decay."""
    models = [RIG(CONFIG, seed=0), RIG(CONFIG, seed=0)]
    config = replace(TRAINING, optimiser=OptimiserConfig(warmup=1, final_fraction=1.0))
    for model, steps in zip(models, (1, 4), strict=True):
        some = replace(config, steps=steps, log_every=1, save_every=1)
        with Run(tmp_path / f"run-{steps}", some) as run:
            Trainer(model, Thinning(pack(DOCUMENTS[:2], length=LENGTH)), some, run).fit()
    once, padded = (model.state_dict() for model in models)
    assert all(torch.equal(value, padded[name]) for name, value in once.items())
    assert [line["norm"] > 0 for line in lines_of(tmp_path / "run-4")] == [True, False, False, False]


@pytest.mark.parametrize(
    ("packs", "message"),
    [
        (Given(pack(DOCUMENTS[:2], length=LENGTH), steps=3), r"steps=4: there are packs for 3; take so many, or fewer"),
        (Given(pack(DOCUMENTS[:2], length=LENGTH), name="model.x"), r"the state of Given has 'model.x'"),
        (Given(pack(DOCUMENTS[:2], length=LENGTH), name="step"), r"the state of Given has 'step'"),
        (Given(), "Given gave a step without a pack"),
    ],
)
def test_what_cannot_be_learned_from_is_named(tmp_path, packs, message):
    with Run(tmp_path / "run", TRAINING) as run, pytest.raises(RigError, match=message):
        Trainer(RIG(CONFIG, seed=0), packs, TRAINING, run).fit()
