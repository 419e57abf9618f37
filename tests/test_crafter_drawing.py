"""What we draw is what Crafter would draw, pixel by pixel, and takes the same numbers from the world's stream."""

import time

import numpy as np
import pytest
from crafter import constants, objects
from crafter import engine as crafter_engine

from rig.envs.crafter import simulator as ours
from rig.envs.crafter.simulator import AREA, CrafterSimulator

RANDOM = np.random.default_rng(7)


@pytest.fixture(scope="module")
def engine():
    return CrafterSimulator()


@pytest.fixture(scope="module")
def original(engine):
    """Crafter's own views of the same world, with textures of their own."""
    textures = crafter_engine.Textures(constants.root / "assets")
    local = crafter_engine.LocalView(engine.world, textures, engine._local_view._grid)
    items = crafter_engine.ItemView(textures, engine._item_view._grid)
    return local, items


def both(engine, original):
    """Draw with Crafter's views and with ours from the same state; return both frames and both streams behind them."""
    local, items = engine._local_view, engine._item_view
    state = engine.world.random.get_state()
    found = []
    for engine._local_view, engine._item_view in (original, (local, items)):
        engine.world.random.set_state(state)
        found += [engine.render(), engine.world.random.get_state()[2]]
    return found


@pytest.mark.parametrize("time_of_day", [0, 150, 200, 215, 299])
@pytest.mark.parametrize("sleeping", [False, True])
def test_frames_are_crafters_own(engine, original, time_of_day, sleeping):
    engine.begin(1 + time_of_day)
    original[0]._world = engine.world
    for _ in range(4):
        scatter(engine)
        engine._step = time_of_day
        engine._update_time()
        engine.player.sleeping = sleeping
        theirs, their_stream, mine, my_stream = both(engine, original)
        assert np.array_equal(theirs, mine)
        assert their_stream == my_stream


def scatter(engine):
    """Put any material anywhere, any creature about the player, any count into the inventory; the player by an edge."""
    world, player = engine.world, engine.player
    world._mat_map[:] = RANDOM.integers(0, len(world._mat_names), AREA)
    place = tuple(RANDOM.choice([0, 1, 3, 30, 61, 63], 2))
    if world._obj_map[place] == 0:
        world.move(player, place)
    player.facing = [(0, 1), (1, 0), (-1, 0), (0, -1)][RANDOM.integers(4)]
    player.inventory.update({name: int(RANDOM.integers(0, 12)) for name in player.inventory})
    for kind in (objects.Cow, objects.Zombie, objects.Skeleton, objects.Plant, objects.Arrow) * 3:
        spot = tuple((player.pos + RANDOM.integers(-5, 6, 2)).clip(0, 63))
        if world._obj_map[spot] == 0:
            about = {objects.Zombie: (player,), objects.Skeleton: (player,), objects.Arrow: ((0, 1),)}.get(kind, ())
            world.add(kind(world, spot, *about))


def test_a_played_episode_is_crafters_own(engine, original):
    engine.begin(5)
    original[0]._world = engine.world
    for number in range(40):
        engine._step += 7 * (number % 3)
        engine.step(int(RANDOM.integers(17)))
        theirs, _, mine, _ = both(engine, original)
        assert np.array_equal(theirs, mine)


def test_textures_are_read_once_in_a_process(engine):
    before = crafter_engine.Textures
    started = time.thread_time()
    another = CrafterSimulator()
    assert time.thread_time() - started < 0.02
    assert another._textures is engine._textures
    assert ours.crafter.engine.Textures is before
