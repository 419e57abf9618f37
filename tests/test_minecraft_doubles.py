"""The doubles of MineStudio and MineRL are strict: each mistake that the packages forgive is refused."""

import numpy as np
import pytest
from minecraft_makers import installed

NOTHING = {"camera": np.zeros(2, np.float32)}
WRONG = {
    "a key is missing": lambda action: action.pop("jump"),
    "a key is unknown": lambda action: action.update(jupm=1),
    "a key is a truth": lambda action: action.update(jump=True),
    "a key is a fraction": lambda action: action.update(jump=1.0),
    "a key is two": lambda action: action.update(jump=2),
    "the camera is a list": lambda action: action.update(camera=[0, 0]),
    "the camera is float64": lambda action: action.update(camera=np.zeros(2)),
    "the camera has three angles": lambda action: action.update(camera=np.zeros(3, np.float32)),
    "the camera is out of range": lambda action: action.update(camera=np.array([0, 181], np.float32)),
    "the camera is no number": lambda action: action.update(camera=np.array([0, np.nan], np.float32)),
}


def open_minestudio(**changes):
    from minestudio.simulator import MinecraftSim

    sim = MinecraftSim(**{"action_type": "env", "obs_size": (64, 64), "preferred_spawn_biome": "plains"} | changes)
    return sim, dict.fromkeys(sim.action_space.spaces, 0) | NOTHING


def open_minerl():
    from minerl.herobraine.env_specs.human_survival_specs import VIEW, HumanSurvival
    from minerl.herobraine.hero import handlers

    class Spec(HumanSurvival):
        def create_agent_start(self):
            own = [handlers.SimpleInventoryAgentStart([]), handlers.PreferredSpawnBiome("plains")]
            return super().create_agent_start() + own

    env = Spec(**VIEW).make()
    env.seed(1)
    return env, {key: int(value) for key, value in env.action_space.no_op().items() if key != "camera"} | NOTHING


OPEN = {"minestudio": open_minestudio, "minerl": open_minerl}


@pytest.fixture(params=tuple(OPEN))
def engine(request, tmp_path):
    with installed(tmp_path / "site", request.param):
        for kind in (int, float):
            setattr(np, kind.__name__, kind)  # as MineRL needs it
        from fake_minecraft import Misuse

        made, nothing = OPEN[request.param]()
        made.misuse, made.name = Misuse, request.param
        yield made, nothing


@pytest.mark.parametrize("name", WRONG)
def test_an_action_that_the_game_would_not_read_is_refused(engine, name):
    made, nothing = engine
    made.reset()
    made.step(dict(nothing))
    wrong = dict(nothing)
    WRONG[name](wrong)
    with pytest.raises(made.misuse):
        made.step(wrong)


def test_what_is_asked_at_the_wrong_time_is_refused(engine, monkeypatch):
    made, nothing = engine
    with pytest.raises(made.misuse, match="before the reset"):
        made.step(dict(nothing))
    monkeypatch.setenv("FAKE_MINECRAFT_ENDS", "1")
    made.reset()
    assert made.step(dict(nothing))[2] is True
    with pytest.raises(made.misuse, match="after the end"):
        made.step(dict(nothing))
    with pytest.raises(made.misuse, match="without a seed"):
        made.reset()
    made.close()
    with pytest.raises(made.misuse, match="closed twice"):
        made.close()
    with pytest.raises(made.misuse, match="was closed"):
        made.reset()


def test_seeds_are_ints_of_python(engine):
    made, _ = engine
    for seed in (np.int64(1), "1", 1.0):
        with pytest.raises(made.misuse, match="no int"):
            (made if made.name == "minerl" else made.env).seed(seed)


def test_an_action_is_given_once(engine):
    made, nothing = engine
    made.reset()
    given = dict(nothing)
    made.step(given)
    assert (given == {}) is (made.name == "minestudio")


@pytest.mark.parametrize(
    "changes",
    [
        *({"obs_size": (64, 36)}, {"render_size": (360, 640)}, {"preferred_spawn_biome": None}, {"seed": np.int64(1)}),
        *({"inventory": {0: {}}}, {"action_type": "keys"}, {"size": 3}),
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_the_simulator_would_take_in_silence_is_refused(tmp_path, changes):
    with installed(tmp_path / "site", "minestudio"):
        from fake_minecraft import Misuse

        with pytest.raises(Misuse):
            open_minestudio(**changes)[0].reset()


def test_what_a_command_gives_takes_ticks_and_a_wrong_one_is_refused(tmp_path):
    with installed(tmp_path / "site", "minestudio"):
        from fake_minecraft import Misuse

        sim, nothing = open_minestudio()
        with pytest.raises(Misuse, match="before the reset"):
            sim.env.execute_cmd("/replaceitem entity @p hotbar.0 minecraft:dirt 64")
        sim.reset()
        sim.env.execute_cmd("/replaceitem entity @p hotbar.0 minecraft:dirt 64")
        assert sim.info["inventory"][0]["type"] == "air"
        assert sim.step(dict(nothing))[-1]["inventory"][0] == {"type": "dirt", "quantity": 64}
        for wrong in ("give me dirt", "/replaceitem entity @p hotbar.9 minecraft:dirt 64"):
            with pytest.raises(Misuse):
                sim.env.execute_cmd(wrong)
        sim.env.execute_cmd("/replaceitem entity @p hotbar.0 minecraft:dirt 65")
        with pytest.raises(Misuse, match="1 to 64"):
            sim.step(dict(nothing))


@pytest.fixture(params=["double", "real"])
def vpt_lib(request, tmp_path):
    """MineStudio's action mapping and its transformer, the double's and the package's own."""
    if request.param == "real":
        module = pytest.importorskip("minestudio.utils.vpt_lib.action_mapping", reason="minestudio is not installed")
        yield module, pytest.importorskip("minestudio.utils.vpt_lib.actions")
        return
    with installed(tmp_path / "site", "minestudio"):
        from minestudio.utils.vpt_lib import action_mapping, actions

        yield action_mapping, actions


def test_vpt_s_buttons_and_camera_are_those_of_the_package(vpt_lib):
    """Attack and forward with a turn, and the camera's bins, as MineStudio 1.1.6 itself was seen to map them."""
    mapping = vpt_lib[0].CameraHierarchicalMapping(n_camera_bins=11)
    turns = vpt_lib[1].ActionTransformer(
        camera_maxval=10, camera_binsize=2, camera_quantization_scheme="mu_law", camera_mu=10.0
    )
    bins = turns.policy2env({"buttons": np.zeros((11, 20)), "camera": np.arange(11)})["camera"]
    wide = [10, 5.809, 3.215, 1.609, 0.615]
    assert bins == pytest.approx([*(-angle for angle in wide), 0, *reversed(wide)], abs=1e-3)
    pressed = {"attack": np.ones(1), "forward": np.ones(1), "camera": np.array([[3.0, -5.0]])}
    joint = mapping.from_factored(turns.env2policy(pressed))
    assert (joint["buttons"].item(), joint["camera"].item()) == (293, 89)
    back = turns.policy2env(mapping.to_factored(joint))
    assert back["camera"][0] == pytest.approx([3.215, -5.809], abs=1e-3)
    assert {name for name, value in back.items() if name != "camera" and value.item()} == {"attack", "forward"}
    menu = mapping.to_factored({"buttons": np.array([[8640]]), "camera": np.array([[60]])})
    assert turns.policy2env(menu)["inventory"].item() == 1
