"""MineRL's keys and camera become the engine's by stated rules, and nothing is dropped in silence."""

import json
import zlib

import numpy as np
import pytest

from rig.actions import MINERL, Action
from rig.envs import make_world
from rig.envs.minetest import MinetestConfig, MinetestEnv, native_action
from rig.envs.minetest.env import make_minetest
from rig.envs.minetest.keys import ENGINE_KEYS, LACKING, KeyboardAndMouse, read_action
from rig.envs.minetest.link import Request
from rig.envs.minetest.savepoints import SavePoint, read_save, write_save
from rig.envs.minetest.settings import mouse_sensitivity
from rig.errors import ActionError, RigError


def read(action, menu_open=False):
    return read_action(action, menu_open=menu_open, cursor_scale=2)


def test_every_key_of_minerl_is_the_engines_or_reported():
    for key in MINERL.keys:
        request, ignored = read({key: 1}, menu_open=True)
        assert request.keys == 1 << ENGINE_KEYS.index(key)
        assert ignored == ()
    for key in LACKING:
        request, ignored = read({key: 1})
        assert request.keys == 0
        assert ignored == (key,)


def test_escape_closes_a_menu_and_never_pauses_the_game():
    assert read({"ESC": 1})[0].keys == 0
    assert read({"ESC": 1})[1] == ("ESC",)
    assert read({"ESC": 1}, menu_open=True)[1] == ()


def test_the_space_is_minerls():
    space = KeyboardAndMouse()
    assert set(space) == {*MINERL.keys, "swapHands", "pickItem", "camera"}
    assert space.contains(space.no_op())
    assert read(space.no_op()) == (Request(), ())
    for _ in range(20):
        read(space.sample())


def test_degrees_are_counts_right_and_down():
    assert read({"camera": [5, -10]})[0].turn == (-200, 100)
    assert read({"camera": np.array([0.62, 3.2], np.float32)})[0].turn == (64, 12)
    assert read({"camera": [5, -10]})[0].shift == (-20, 10)


@pytest.mark.parametrize(
    "camera",
    [
        [0],
        [0, 181],
        [0, float("nan")],
        3.0,
        None,
        "5,5",
        ["5", "5"],
        [True, 0],
        [10**400, 0],
        [[1], [2, 3]],
        {"pitch": 1},
    ],
    ids=repr,
)
def test_a_camera_that_is_none_is_named(camera):
    with pytest.raises(ActionError, match="within ±180"):
        read({"camera": camera})


@pytest.mark.parametrize("value", [0.7, -1, 2, 1.0, "1", None, [1], float("nan"), np.array([0, 1]), np.float32(1)])
def test_what_neither_presses_a_key_nor_leaves_it_is_named(value):
    with pytest.raises(ActionError, match=r"the key 'forward' is .*; 1 presses it, and 0 does not"):
        read({"forward": value})


@pytest.mark.parametrize("value", [True, 1, np.int64(1), np.bool_(True), np.array(1), np.array([1], np.uint8)])
def test_a_pressed_key_is_pressed_in_every_type_that_spaces_give(value):
    assert read({"forward": value}) == read({"forward": 1})
    assert read({"forward": type(value)(0) if not isinstance(value, np.ndarray) else value * 0}) == read({})


@pytest.mark.parametrize("action", [None, 3, "forward", ["forward"], {3: 1}, {None: 0}])
def test_what_is_no_action_is_named(action):
    with pytest.raises(ActionError, match="the action "):
        read(action)


def test_an_unknown_key_is_named_though_it_is_not_pressed():
    with pytest.raises(ActionError, match=r"'forwrd' is not a key\. Did you mean 'forward'"):
        read({"forwrd": 0})


def test_an_unknown_key_is_named_with_the_nearest_one():
    with pytest.raises(ActionError, match=r"'forwrd' is not a key\. Did you mean 'forward'"):
        read({"forwrd": 1})


def test_rigs_own_actions_are_taken():
    action = MINERL.parse("forward, sprint, camera:[0,10]")
    assert read(native_action(action)) == read({"forward": 1, "sprint": 1, "camera": (0, 10)})
    with pytest.raises(ActionError):
        native_action(Action.press("move_left"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"width": 0}, "width is 0"),
        ({"height": 5000}, "height is 5000"),
        ({"display_width": 8}, "display_width is 8"),
        ({"field_of_view": 20}, "field_of_view is 20"),
        ({"nearby_radius": 40}, "nearby_radius is 40"),
        ({"attempts": 0}, "attempts is 0"),
        ({"view_range": -3}, "view_range is -3"),
        ({"view_range": 40.5}, "view_range is 40.5"),
        ({"width": True}, "width is True"),
        ({"field_of_view": float("nan")}, "field_of_view: the value is nan"),
        ({"cursor_pixels_per_degree": 0}, "cursor_pixels_per_degree is 0"),
        ({"step_timeout": -1}, "step_timeout is -1"),
        ({"mapgen": "flatt"}, "mapgen is 'flatt'; give one of .* Did you mean 'flat'"),
        ({"mapgen": "v7\nfov = 3"}, "mapgen is 'v7"),
        ({"mapgen": ["flat"]}, "mapgen is"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(settings, told):
    with pytest.raises(RigError, match=told):
        MinetestConfig(**settings)


def test_a_field_that_the_configuration_does_not_have_is_named():
    with pytest.raises(RigError, match=r"MinetestConfig has an unknown field 'view_rang'. Did you mean 'view_range'"):
        make_minetest(view_rang=3)


@pytest.mark.parametrize(
    ("seed", "options", "told"),
    [
        (0, {"spwan": [0, 9, 0]}, "unknown field 'spwan'. Did you mean 'spawn'"),
        (0, ["spawn"], "give a mapping of spawn"),
        (0, {"spawn": [0, 9]}, "'spawn' is "),
        (0, {"spawn": "abc"}, "'spawn' is 'abc'"),
        (0, {"spawn": [0, float("nan"), 0]}, "'spawn': "),
        (0, {"spawn": [0, 10**6, 0]}, "'spawn' is .*30900"),
        (-1, None, "seed=.* is -1"),
        (0.5, None, "seed=.* is 0.5"),
    ],
)
def test_a_reset_that_cannot_be_starts_no_engine(seed, options, told):
    with pytest.raises(RigError, match=told):
        MinetestEnv(MinetestConfig()).reset(seed=seed, options=options)


@pytest.mark.parametrize("name", ["crafter", "minetest"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"taks": "explore"}, "unknown field 'taks'. Did you mean 'task'"),
        ({"task": ["explore"]}, "unknown task"),
        ({"setting": "manul"}, "Did you mean 'manual'"),
        ({"setting": ["manual"]}, "unknown setting"),
        ("explore", "give a mapping of task, setting"),
    ],
)
def test_a_world_keeps_its_task_where_a_reset_is_refused(name, options, told):
    world = make_world(name)
    before = (world.task, world.setting, world.seed)
    with pytest.raises(RigError, match=told):
        world.reset(seed=1, options=options)
    assert (world.task, world.setting, world.seed) == before


def test_the_display_is_not_drawn_smaller_than_it_can_be_read_unless_one_asks_for_it():
    assert MinetestConfig(width=64, height=64).drawn == (640, 360)
    assert MinetestConfig(width=1280, height=100).drawn == (1280, 360)
    assert MinetestConfig(width=64, height=64).undersampling == 5
    assert MinetestConfig().undersampling == 1
    bare = MinetestConfig(width=64, height=48, display_width=64, display_height=48)
    assert (bare.drawn, bare.undersampling, bare.is_readable) == ((64, 48), 1, False)
    assert MinetestConfig(width=64, height=64).is_readable


def test_the_mouse_is_as_sensitive_in_narrow_windows():
    assert mouse_sensitivity(MinetestConfig()) == pytest.approx(0.0518805, abs=1e-7)
    assert mouse_sensitivity(MinetestConfig(width=360, height=360)) == mouse_sensitivity(MinetestConfig())
    assert mouse_sensitivity(MinetestConfig(width=640, height=640)) < mouse_sensitivity(MinetestConfig())


def test_a_save_point_holds_the_way_and_knows_its_world():
    config = MinetestConfig(width=64, height=64)
    requests = [Request(keys=3, turn=(4, -5)), Request(commands=({"name": "look", "yaw": 1.5, "pitch": 0},))]
    point = SavePoint(9, (1.0, 2.5, -3.0), [request.pack(draw=False) for request in requests], "of its facts")
    data = write_save(config, point)
    read = read_save(data, MinetestConfig(width=64, height=64, attempts=9))
    assert read == point
    assert [Request.unpack(packed) for packed in read.way] == requests
    with pytest.raises(RigError, match="world with width=64"):
        read_save(data, MinetestConfig(height=64))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("world", []),
        ("seed", "9"),
        ("seed", -1),
        ("seed", 1e400),
        ("spawn", [1.0, 2.0]),
        ("spawn", {"x": 1}),
        ("spawn", [1.0, float("nan"), 2.0]),
        ("facts", None),
    ],
)
def test_a_spoilt_save_point_is_refused_by_name(name, value):
    config = MinetestConfig(width=64, height=64)
    request = Request(commands=({"name": "look", "yaw": 1.5, "pitch": 0},)).pack()
    data = write_save(config, SavePoint(9, (1.0, 2.5, -3.0), [request], "of its facts"))
    header, _, way = data.partition(b"\n")
    spoilt = json.dumps(json.loads(header) | {name: value}).encode() + b"\n" + way
    deep = b"[" * 100_000 + b"\n" + way
    other = request[: -len(b'"}]')] + b"]]]"
    commands = header + b"\n" + zlib.compress(other)
    for saved in (spoilt, deep, commands, b"{}", b"[]\n" + way, data[:-1], header):
        with pytest.raises(RigError, match=r"the save point of a Minetest world.*give what `save` returned"):
            read_save(saved, config)
