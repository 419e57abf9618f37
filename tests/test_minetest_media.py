"""The game's media, copied once for all engines, and neither written nor removed by any."""

import hashlib
from pathlib import Path

import pytest
from minetest_makers import FLAT, hold, make_env, needs_engine

from rig.envs.minetest import media
from rig.envs.minetest.prerequisites import GAME

pytestmark = needs_engine


@pytest.fixture
def shared(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "cache_root", lambda: tmp_path / "cache")
    media._media.cache_clear()
    yield media._media()
    media._media.cache_clear()


def test_an_engine_needs_nothing_but_what_was_copied_and_leaves_it_as_it_is(shared):
    before = {path.name: path.stat().st_mtime_ns for path in shared.iterdir()}
    pictures = [path.read_bytes() for path in GAME.glob("mods/default/textures/*.png")]
    assert {hashlib.sha1(picture).hexdigest() for picture in pictures} <= set(before)
    env = make_env(**FLAT)
    env.reset(seed=4)
    assert (env._engine.folder / ".cache" / "minetest" / "media").resolve() == shared
    hold(env, 10, "forward")
    env.close()
    assert {path.name: path.stat().st_mtime_ns for path in shared.iterdir()} == before


def test_another_version_of_the_game_has_a_folder_of_its_own(shared, tmp_path, monkeypatch):
    textures = tmp_path / "game" / "mods" / "pack" / "one" / "textures"
    textures.mkdir(parents=True)
    (textures / "a.png").write_bytes(b"first")
    monkeypatch.setattr(media, "GAME", tmp_path / "game")
    found = []
    for content in (b"first", b"second!"):
        (textures / "a.png").write_bytes(content)
        media._media.cache_clear()
        found.append(media._media())
    assert len({shared, *found}) == 3
    assert [[path.read_bytes() for path in Path(folder).iterdir()] for folder in found] == [[b"first"], [b"second!"]]
