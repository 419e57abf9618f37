"""`rig data merge | split | filter`: what is copied is the same record, what does not go together is told at once."""

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from weakref import WeakSet

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import QUICK, agent_training
from test_data_lazy import FRAME_BYTES, LONG, SIZE, Peak, long_one, small_groups  # noqa: F401 - a fixture
from test_data_roundtrip import assert_same, info_for, write

from rig.actions import CRAFTER, MINERL, NOOP
from rig.agents.checkpoint import read_agent
from rig.cli.main import main
from rig.data import Dataset, DatasetWriter
from rig.data.shards import ShardReader
from rig.errors import DatasetError, RigError
from rig.recipes.dataset_card import write_dataset_card
from rig.records import NOISE, Lineage, fake_trajectory
from rig.stages import Opening, ReasonConfig, RehearseConfig, RereviewConfig, reason, rehearse, rereview
from rig.stages.deduping import dedupe
from rig.stages.filtering import filter_dataset
from rig.stages.merging import merge, original_id
from rig.stages.reshaping_config import DedupeConfig, FilterConfig, MergeConfig, SplitConfig
from rig.stages.splitting import checked_shares, part_of, split
from rig.train import train_agent
from rig.train.split import split as hold_out

SHARES = {"train": 0.7, "validation": 0.3}


def play(seeds, stage="s1", **changes):
    """Yield small episodes of various lengths, tasks, settings and outcomes, one for each seed."""
    for seed in seeds:
        yield replace(
            fake_trajectory(seed, size=8, length=2 + seed % 4, **changes),
            id=f"episode-{seed}",
            task=["wood", "stone"][seed % 2],
            setting=["manual", "tool"][seed // 2 % 2],
            success=seed % 3 == 0,
            lineage=Lineage(stage=stage, actor="expert@1" if seed % 2 else "novice@1", parent=f"before-{seed}"),
        )


def dataset_at(path, seeds, stage="s1", **changes):
    return write(path, play(seeds, stage), info_for(name=path.name, stage=stage, **changes), shard_steps=16)


def leaves_nothing(tmp_path, *known):
    """Whether nothing but `known` lies in the folder."""
    return sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in known)


# --- merge


def test_merged_datasets_hold_every_record_as_it_was_and_name_all_their_parents(tmp_path):
    some, more = dataset_at(tmp_path / "some", range(5)), dataset_at(tmp_path / "more", range(5, 9))
    found = merge([some, more], MergeConfig(), tmp_path / "all")
    merged = Dataset(tmp_path / "all")
    merged.verify()
    assert merged.ids == Dataset(some).ids + Dataset(more).ids
    for wanted in [*Dataset(some), *Dataset(more)]:
        assert_same(merged[wanted.id], wanted)
    assert merged.info.parent == Dataset(some).as_parent()
    assert merged.info.further_parents == (Dataset(more).as_parent(),)
    assert found["kept"] == {"trajectories": 9, "steps": merged.num_steps}
    assert (found["dropped"]["steps"], found["renamed"]) == (0, {})


def test_what_is_made_of_a_merged_dataset_knows_all_its_ancestors(tmp_path):
    first = dataset_at(tmp_path / "first", range(3))
    filter_dataset(first, FilterConfig(min_steps=2), tmp_path / "again")
    merge([tmp_path / "again", dataset_at(tmp_path / "other", range(4, 6))], MergeConfig(), tmp_path / "all")
    filter_dataset(tmp_path / "all", FilterConfig(seeds=("0:4",)), tmp_path / "part")
    parent = Dataset(tmp_path / "part").info.parent
    assert [one.name for one in parent.chain()] == ["all", "again", "first", "other"]
    manifest = json.loads((tmp_path / "part" / "manifest.json").read_text())
    assert [one["name"] for one in manifest["parent"]["further_parents"]] == ["other"]
    assert "further_parents" not in manifest, "a dataset of one parent is written as it always was"
    assert "further_parents" not in json.loads((first / "manifest.json").read_text())


def test_the_readme_of_a_merged_dataset_names_its_parents_beside_each_other(tmp_path):
    merge([dataset_at(tmp_path / "some", [1]), dataset_at(tmp_path / "more", [2])], MergeConfig(), tmp_path / "all")
    filter_dataset(tmp_path / "all", FilterConfig(min_steps=1), tmp_path / "part")
    for name, told in (
        ("all", r"Made from some \(s1, `\w+`\), more \(s1, "),
        ("part", r"Made from all \(.*\), some \("),
    ):
        assert re.search(told, write_dataset_card(tmp_path / name, "Ours").read_text())
    filter_dataset(tmp_path / "some", FilterConfig(min_steps=1), tmp_path / "same")
    filter_dataset(tmp_path / "same", FilterConfig(min_steps=1), tmp_path / "again")
    card = write_dataset_card(tmp_path / "again", "Ours").read_text()
    assert re.search(r"Made from same \(.*\), made from some \(", card)


def test_of_many_datasets_few_shards_are_open_at_once(tmp_path, monkeypatch):
    sources = [dataset_at(tmp_path / f"part-{number}", [number]) for number in range(12)]
    readers, most = WeakSet(), []
    begin, append = ShardReader.__init__, DatasetWriter.append

    def noted(self, *given):
        begin(self, *given)
        readers.add(self)

    def counted(self, *given):
        append(self, *given)
        most.append(len(readers))

    monkeypatch.setattr(ShardReader, "__init__", noted)
    monkeypatch.setattr(DatasetWriter, "append", counted)
    merge(sources, MergeConfig(), tmp_path / "all")
    assert len(most) == 12
    assert max(most) <= 3


def test_equal_ids_are_told_apart_by_their_datasets_hash_or_as_is_asked(tmp_path):
    some, more = dataset_at(tmp_path / "some", range(4)), dataset_at(tmp_path / "more", range(2, 6))
    marks = [Dataset(path).content_hash[:8] for path in (some, more)]
    found = merge([some, more], MergeConfig(), tmp_path / "all")
    ids = ["episode-0", "episode-1", f"episode-2@{marks[0]}", f"episode-3@{marks[0]}"]
    ids += [f"episode-2@{marks[1]}", f"episode-3@{marks[1]}", "episode-4", "episode-5"]
    assert Dataset(tmp_path / "all").ids == ids
    assert found["renamed"][f"episode-3@{marks[1]}"] == "episode-3"
    merge([more, some], MergeConfig(), tmp_path / "turned")
    assert sorted(Dataset(tmp_path / "turned").ids) == sorted(ids), "the order makes no other names"
    found = merge([some, more], MergeConfig(clashes="first"), tmp_path / "first")
    assert Dataset(tmp_path / "first").ids == [f"episode-{number}" for number in range(6)]
    assert found["dropped"]["trajectories"] == 2
    with pytest.raises(DatasetError, match=r"2 trajectory id.* as 'episode-2'; .*--clashes first"):
        merge([some, more], MergeConfig(clashes="refuse"), tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_training_keeps_aside_what_it_did_before_datasets_were_merged(tmp_path):
    apart = [dataset_at(tmp_path / "some", range(40)), dataset_at(tmp_path / "more", range(20, 60))]
    merge(apart, MergeConfig(), tmp_path / "all")
    _, aside = hold_out([Dataset(path) for path in apart])
    _, merged = hold_out([Dataset(tmp_path / "all")])
    kept = [step.frame.tobytes() for steps in aside for step in steps]
    assert kept
    assert [step.frame.tobytes() for step in merged[0]] == kept
    assert original_id("episode-2@0123abcd@") == "episode-2"
    assert original_id("me@home") == "me@home"


def test_a_new_name_that_somebody_has_already_is_not_taken(tmp_path):
    some, more = dataset_at(tmp_path / "some", range(2)), dataset_at(tmp_path / "more", range(1, 3))
    mark = f"episode-1@{Dataset(some).content_hash[:8]}"
    odd = write(tmp_path / "odd", [replace(next(play([8])), id=mark)])
    merge([some, more, odd], MergeConfig(), tmp_path / "all")
    assert {mark, f"{mark}@"} <= set(Dataset(tmp_path / "all").ids)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"environment": "minetest"},
            "has the environment 'crafter' and .*other 'minetest'; merge the datasets of each",
        ),
        ({"space": MINERL}, "has the action space 'crafter' and .*other 'minerl'; merge those of one"),
        ({"size": 16}, r"has the frame size 8 x 8 and .*other 16 x 16; .*--frame-size"),
        ({"stage": "s4"}, "one is of stage s1 and .*other is of stage s4, which are not learned alike"),
        ({"stage": "branch"}, "one is of stage s1 and .*other is of stage branch, which are not learned alike"),
    ],
)
def test_what_does_not_go_together_is_told_with_both_values(tmp_path, changes, told):
    one, other = dataset_at(tmp_path / "one", range(2)), tmp_path / "other"
    info = info_for(**changes)
    size, space = info.frame_size[0], info.action_space
    trajectories = [
        replace(
            fake_trajectory(9, size=size, space=space),
            environment=info.environment,
            lineage=Lineage(stage="s1", actor="a"),
        )
    ]
    write(other, trajectories, info)
    with pytest.raises(DatasetError, match=told):
        merge([one, other], MergeConfig(), tmp_path / "all")
    assert leaves_nothing(tmp_path, one, other)


def test_action_spaces_of_one_name_are_told_in_full_where_they_differ(tmp_path):
    one, fewer = dataset_at(tmp_path / "one", [1]), replace(CRAFTER, keys=CRAFTER.keys[:-1])
    step = replace(fake_trajectory(9, size=8).steps[0], action=NOOP, previous_action=NOOP)
    other = write(tmp_path / "other", [fake_trajectory(9, size=8).with_steps([step])], info_for(fewer))
    with pytest.raises(DatasetError, match=f"{CRAFTER.keys[-1]}.*merge those of one action space"):
        merge([one, other], MergeConfig(), tmp_path / "all")


def test_codes_of_two_tokenizers_and_the_same_data_twice_are_refused(tmp_path):
    some, more = (dataset_at(tmp_path / name, seeds, tokenizer=name) for name, seeds in (("a", [1]), ("b", [2])))
    with pytest.raises(DatasetError, match=r"different tokenizers, .* those of a and .* those of b"):
        merge([some, more], MergeConfig(), tmp_path / "all")
    plain = dataset_at(tmp_path / "plain", [3])
    merge([plain, some], MergeConfig(), tmp_path / "coded")
    assert Dataset(tmp_path / "coded").info.tokenizer == "a"
    with pytest.raises(DatasetError, match=r"hold the very same .*leave one of them out"):
        merge([some, some], MergeConfig(), tmp_path / "all")
    with pytest.raises(RigError, match=r"1 dataset\(s\) to merge: give two"):
        merge([some], MergeConfig(), tmp_path / "all")


def test_a_merged_dataset_has_the_stage_that_all_of_it_has_reached(tmp_path):
    paths = [
        dataset_at(tmp_path / stage, [number], stage) for number, stage in enumerate(("s2", "s0", "s1", "s4", "s3"))
    ]
    for group, stage in (((0, 1, 2), "s0"), ((0, 2), "s1"), ((3, 4), "s3"), ((4,), None)):
        if stage:
            out = tmp_path / f"all-{stage}"
            merge([paths[number] for number in group], MergeConfig(), out)
            merged = Dataset(out)
            assert merged.info.stage == stage
            assert [entry.stage for entry in merged.entries] == [Dataset(paths[n]).info.stage for n in group]


# --- split


@settings(max_examples=25)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=10),
    st.lists(st.integers(1, 30), min_size=2, max_size=5),
    st.text(max_size=4),
)
def test_a_seed_falls_to_one_part_whoever_asks(seeds, weights, salt):
    shares = {f"part{number}": weight / sum(weights) for number, weight in enumerate(weights)}
    turned = dict(reversed(shares.items()))
    for seed in seeds:
        part = part_of(seed, checked_shares(shares), salt)
        assert part in shares
        assert part == part_of(seed, checked_shares(turned), salt), "the order of the shares makes no difference"


def test_shares_are_kept_over_many_seeds_and_a_salt_makes_another_split():
    shares = checked_shares(SHARES)
    parts = [part_of(seed, shares) for seed in range(4000)]
    assert abs(parts.count("train") / 4000 - 0.7) < 0.03
    assert 0.5 < np.mean([part_of(seed, shares, "x") == part for seed, part in enumerate(parts)]) < 0.66


def test_a_larger_part_of_the_first_name_has_all_seeds_of_a_smaller_one():
    held_out = [{n for n in range(500) if part_of(n, checked_shares({"a": s, "b": 1 - s})) == "a"} for s in (0.1, 0.3)]
    assert held_out[0] < held_out[1]


def test_parts_have_all_records_and_never_a_seed_in_common_also_across_datasets(tmp_path):
    """No world of one part is in another, whatever was played there, before or after another stage."""
    played = dataset_at(tmp_path / "played", range(20))
    twice = [replace(one, id=f"{one.id}-tool", setting="tool") for one in play(range(10, 30))]
    thoughts = write(tmp_path / "thoughts", [*play(range(10, 30), "s2"), *twice], info_for(stage="s2"), shard_steps=16)
    seeds = {}
    for source in (played, thoughts):
        before = Dataset(source)
        found = split(source, SplitConfig(share=SHARES), tmp_path / f"{source.name}-parts")
        parts = {name: Dataset(tmp_path / f"{source.name}-parts" / name) for name in SHARES}
        assert sorted(name for part in parts.values() for name in part.ids) == sorted(Dataset(source).ids)
        for name, part in parts.items():
            part.verify()
            assert part.info.parent == Dataset(source).as_parent()
            assert found["parts"][name]["steps"] == part.num_steps
            seeds[source.name, name] = {trajectory.seed for trajectory in part}
            for trajectory in part:
                assert_same(trajectory, before[trajectory.id])
    for one in ("played", "thoughts"):
        for other in ("played", "thoughts"):
            assert not seeds[one, "train"] & seeds[other, "validation"]


@pytest.mark.parametrize(
    ("share", "told"),
    [
        ({"train": 1.0}, r"1 part\(s\): give two or more as --share train=0.9 validation=0.1"),
        ({"train": 0.9, "validation": 0.2}, r"the shares 0.9 \+ 0.2 make 1.1, and a dataset is 1"),
        ({"train": 1.2, "validation": -0.2}, "the share of 'validation' is -0.2: give a number above 0"),
        ({"train": True, "validation": 0}, "the share of 'train' is True"),
        ({"train": float("nan"), "b": 1.0}, "the share of 'train' is nan"),
        ({"../up": 0.5, "b": 0.5}, "part '../up': a part's name is a folder's"),
        ({"": 0.5, "b": 0.5}, "part '': a part's name"),
        ({"train": 0.999999, "tiny": 0.000001}, "part 'tiny' would have nothing: .* has 6 seeds, .*larger share"),
    ],
)
def test_shares_that_are_none_are_told_before_anything_is_written(tmp_path, share, told):
    source = dataset_at(tmp_path / "source", range(6))
    with pytest.raises(RigError, match=told):
        split(source, SplitConfig(share=share), tmp_path / "parts")
    assert leaves_nothing(tmp_path, source)


def test_no_part_is_written_where_one_cannot_be(tmp_path):
    source, parts = dataset_at(tmp_path / "source", range(8)), tmp_path / "parts"
    (parts / "validation").mkdir(parents=True)
    (parts / "validation" / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="validation is not a dataset, and not empty"):
        split(source, SplitConfig(share=SHARES), parts)
    assert not (parts / "train").exists()


# --- filter


def kept_by(tmp_path, source, **conditions):
    out = tmp_path / f"kept-{len(list(tmp_path.iterdir()))}"
    found = filter_dataset(source, FilterConfig(**conditions), out)
    dataset = Dataset(out)
    dataset.verify()
    assert found["kept"] == {"trajectories": len(dataset), "steps": dataset.num_steps}
    for count in ("trajectories", "steps"):
        assert found["kept"][count] + found["dropped"][count] == Dataset(source).manifest.counts[count]
        assert found["dropped"][count] == sum(each[count] for each in found["dropped_by"].values())
    return dataset


@pytest.mark.parametrize(
    ("conditions", "meets"),
    [
        ({"tasks": ("stone",)}, lambda one: one.task == "stone"),
        ({"tasks": ("stone/tool", "wood")}, lambda one: one.task == "wood" or one.setting == "tool"),
        ({"settings": ("manual",)}, lambda one: one.setting == "manual"),
        ({"success": "won"}, lambda one: one.success),
        ({"success": "lost"}, lambda one: not one.success),
        ({"min_steps": 3, "max_steps": 4}, lambda one: len(one.steps) in (3, 4)),
        ({"seeds": ("3", "5:7")}, lambda one: one.seed in (3, 5, 6, 7)),
        ({"players": ("expert@1",)}, lambda one: one.lineage.actor == "expert@1"),
        ({"success": "won", "settings": ("tool",)}, lambda one: one.success and one.setting == "tool"),
    ],
)
def test_trajectories_are_kept_by_what_they_are(tmp_path, conditions, meets):
    source = dataset_at(tmp_path / "source", range(12))
    kept = kept_by(tmp_path, source, **conditions)
    wanted = [one for one in Dataset(source) if meets(one)]
    assert kept.ids == [one.id for one in wanted]
    for one in wanted:
        assert_same(kept[one.id], one)


def mixed(path):
    """Write four episodes: bare ones, ones with a thought here and there, and ones with reviews and dreams.

    Nothing comes of one step of the last, and what comes of another is not known.
    """
    bare, some, reviewed, noisy = (fake_trajectory(seed, size=8, num_dreams=2 * (seed == 2)) for seed in range(4))
    bare = bare.with_steps([replace(step, thought=None) for step in bare.steps])
    some = some.with_steps([replace(step, thought=None if step.index % 2 else step.thought) for step in some.steps])
    noisy = noisy.with_steps([replace(step, actor=NOISE if step.index == 1 else step.actor) for step in noisy.steps])
    first, vain, unknown, *rest = noisy.steps
    vain, unknown = replace(vain, next_frame=vain.frame.copy()), replace(unknown, next_frame=None)
    noisy = noisy.with_steps([first, vain, unknown, *rest])
    return write(path, [bare, some, reviewed, noisy], shard_steps=4)


@pytest.mark.parametrize(
    ("conditions", "trajectories", "steps"),
    [
        ({"thoughts": "with"}, {1: 4, 2: 4, 3: 4}, {1: 2, 2: 4, 3: 4}),
        ({"thoughts": "without"}, {0: 4}, {0: 4, 1: 2}),
        ({"reviews": "with"}, {2: 4}, {2: 4}),
        ({"dreams": "without"}, {0: 4, 1: 4, 3: 4}, {0: 4, 1: 4, 3: 4}),
        ({"effects": "with"}, {0: 4, 1: 4, 2: 4, 3: 4}, {0: 4, 1: 4, 2: 4, 3: 2}),
        ({"effects": "without", "seeds": ("3",)}, None, {3: 2}),
        ({"actors": ("policy",)}, {0: 4, 1: 4, 2: 4}, {0: 4, 1: 4, 2: 4, 3: 3}),
    ],
)
def test_conditions_on_steps_keep_episodes_or_single_steps(tmp_path, conditions, trajectories, steps):
    source = mixed(tmp_path / "source")
    for keep, wanted in (("trajectories", trajectories), ("steps", steps)):
        if wanted is None:
            with pytest.raises(DatasetError, match="effects"):
                kept_by(tmp_path, source, **conditions, keep=keep)
            continue
        kept = kept_by(tmp_path, source, **conditions, keep=keep)
        assert {one.seed: len(one.steps) for one in kept} == wanted
        for one in kept:
            before = Dataset(source)[one.id]
            for step in one.steps:
                assert_same(step, before.steps[step.index])


def test_true_claims_are_those_that_the_worlds_checker_finds_true(made, tmp_path):
    source, lied = Dataset(made.data), tmp_path / "lied"
    liar, half = sorted(source.ids, key=lambda name: -len(source[name].steps))[:2]
    lie = {liar: {0, 1}, half: {1}}
    with DatasetWriter(lied, replace(source.info, name="lied")) as writer:
        for one in source:
            false = lie.get(one.id, ())
            said = ["1. I hold 99 diamond." if step.index % 2 in false else step.thought for step in one.steps]
            writer.append(one.with_steps(_with_thoughts(one, said)))
    assert kept_by(tmp_path, lied, true_claims=1.0).ids == [name for name in source.ids if name not in lie]
    assert kept_by(tmp_path, lied, true_claims=0.3).ids == [name for name in source.ids if name != liar]
    single = kept_by(tmp_path, lied, true_claims=1.0, keep="steps")
    assert single.ids == [name for name in source.ids if name != liar]
    assert {step.index % 2 for step in single[half].steps} == {0}


def _with_thoughts(trajectory, thoughts):
    return [replace(step, thought=thought) for step, thought in zip(trajectory.steps, thoughts, strict=True)]


def test_claims_of_facts_that_are_none_are_told_by_their_step(tmp_path):
    odd = next(play([0]))
    odd = odd.with_steps([replace(step, thought="1. I hold 1 wood.", privileged={"facing": 3}) for step in odd.steps])
    source = write(tmp_path / "source", [odd])
    with pytest.raises(
        DatasetError, match=r"trajectory 'episode-0', step 0: its claims cannot be checked .*filter without --true"
    ):
        filter_dataset(source, FilterConfig(true_claims=0.5), tmp_path / "out")
    strange = write(tmp_path / "strange", [replace(odd, environment="farm")], info_for(environment="farm"))
    with pytest.raises(RigError, match="nobody checks claims in the world 'farm'"):
        filter_dataset(strange, FilterConfig(true_claims=0.5), tmp_path / "out")
    assert leaves_nothing(tmp_path, source, strange)


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({}, "nothing to filter by: give a condition"),
        ({"keep": "steps"}, "nothing to filter by"),
        ({"tasks": ("ston",)}, "nothing of tasks 'ston'. Did you mean 'stone'"),
        ({"settings": ("tools",)}, "nothing of settings 'tools'. Did you mean 'tool'"),
        ({"players": ("expert",)}, "nothing of players 'expert'. Did you mean 'expert@1'"),
        ({"actors": ("polcy",)}, "nothing of actors 'polcy'. Did you mean 'policy'"),
        ({"seeds": ("9:3",)}, "seeds '9:3': give a seed as 17, or a range as 0:99"),
        ({"seeds": ("all",)}, "seeds 'all'"),
        ({"seeds": ("100:200",)}, r"nothing of .*source is left \(\d+ steps for its seed\); ask for less"),
        ({"min_steps": 1000}, "steps for its length"),
    ],
)
def test_a_filter_that_cannot_be_is_told_and_leaves_nothing(tmp_path, conditions, told):
    source = dataset_at(tmp_path / "source", range(6))
    with pytest.raises(RigError, match=told):
        filter_dataset(source, FilterConfig(**conditions), tmp_path / "out")
    assert leaves_nothing(tmp_path, source)


@pytest.mark.parametrize(
    "given",
    [
        lambda: FilterConfig(min_steps=0),
        lambda: FilterConfig(min_steps=5, max_steps=4),
        lambda: FilterConfig(true_claims=1.5),
        lambda: FilterConfig(true_claims=float("nan")),
        lambda: DedupeConfig(near=-1),
        lambda: DedupeConfig(near=512),
        lambda: DedupeConfig(share=0.0),
        lambda: DedupeConfig(share=0.5, keep="steps"),
    ],
)
def test_numbers_that_are_none_are_refused(given):
    with pytest.raises(RigError, match="="):
        given()


def test_branches_are_kept_as_whole_sets(tmp_path):
    source = dataset_at(tmp_path / "source", range(4), "branch")
    with pytest.raises(DatasetError, match=r"counterfactual sets, .*use --keep trajectories"):
        filter_dataset(source, FilterConfig(actors=("teacher",), keep="steps"), tmp_path / "out")
    assert kept_by(tmp_path, source, seeds=("0:1",)).info.stage == "branch"


def test_an_episode_without_some_of_its_steps_is_not_rehearsed(made, tmp_path):
    kept = tmp_path / "kept"
    filter_dataset(made.data, FilterConfig(actors=("teacher",), keep="steps"), tmp_path / "whole")
    with DatasetWriter(kept, Dataset(made.data).info) as writer:
        for one in Dataset(made.data):
            writer.append(one.with_steps([step for step in one.steps if step.index != 1]))
    with pytest.raises(DatasetError, match=r"has step 2 where step 1 belongs, .*--keep steps"):
        rehearse(kept, RehearseConfig(slips=0), tmp_path / "rehearsed")


# --- all of them


def every_verb(sources, out, opening=None):
    """Return each verb as what it does with `sources`."""
    source = sources[0]
    return {
        "merge": lambda: merge(sources, MergeConfig(), out, opening),
        "split": lambda: split(source, SplitConfig(share=SHARES), out, opening),
        "filter": lambda: filter_dataset(source, FilterConfig(min_steps=2), out, opening),
        "dedupe": lambda: dedupe(source, DedupeConfig(), out, opening),
    }


VERBS = ("merge", "split", "filter", "dedupe")


@pytest.mark.parametrize("verb", VERBS)
def test_bad_sources_and_folders_are_told_and_nothing_is_touched(tmp_path, verb):
    good, bad, out = (
        dataset_at(tmp_path / "good", range(12)),
        dataset_at(tmp_path / "bad", range(20, 32)),
        tmp_path / "out",
    )
    manifest = (bad / "manifest.json").read_text()
    frames = bad / "shards" / "frames-00001.parquet"
    whole = frames.read_bytes()

    def refused(told, *sources, out=out, opening=None):
        with pytest.raises(RigError, match=told):
            every_verb([*sources, good], out, opening)[verb]()
        assert leaves_nothing(tmp_path, good, bad)

    frames.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused("frames-00001.parquet: it is altered", bad)
    frames.write_bytes(whole[:-9])
    refused("frames-00001.parquet: it has .* bytes", bad)
    frames.write_bytes(whole)
    (bad / "manifest.json").write_text(manifest.replace('"complete": true', '"complete": false'))
    refused("bad is unfinished .*--resume", bad)
    (bad / "manifest.json").write_text(manifest)
    refused("manifest.json is missing", tmp_path / "nowhere")
    refused("is in .*bad, which is read; choose another folder", bad, out=bad / "new")
    (tmp_path / "link").symlink_to(bad)
    inside, overwrite = tmp_path / "link" / "shards", Opening(overwrite=True)
    with pytest.raises(DatasetError, match="which is read"):
        every_verb([bad, good], inside, overwrite)[verb]()
    with pytest.raises(DatasetError, match="which is read"):
        every_verb([bad, good], bad if verb != "split" else bad / "shards", overwrite)[verb]()
    (tmp_path / "link").unlink()
    Dataset(bad).verify()
    (tmp_path / "empty").mkdir()
    with DatasetWriter(tmp_path / "empty", info_for()):
        pass
    with pytest.raises(DatasetError, match="empty holds no trajectory"):
        every_verb([tmp_path / "empty", good], out)[verb]()
    assert not out.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_goes_on_where_it_was_stopped_and_makes_the_same_dataset(tmp_path, monkeypatch, verb):
    sources = [dataset_at(tmp_path / "one", range(14)), dataset_at(tmp_path / "two", range(8, 16))]
    every_verb(sources, tmp_path / "whole")[verb]()
    append, left = DatasetWriter.append, [5]

    def dying(self, trajectory, steps=None):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        append(self, trajectory, steps)
        self.flush()

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(DatasetWriter, "append", dying)
        with pytest.raises(KeyboardInterrupt):
            every_verb(sources, out)[verb]()
    first = out / "train" if verb == "split" else out
    assert len(Dataset(first, allow_incomplete=True)) == 5
    with pytest.raises(DatasetError, match="already holds a dataset; go on with it"):
        every_verb(sources, out)[verb]()
    every_verb(sources, out, Opening(resume=True))[verb]()
    folders = ["train", "validation"] if verb == "split" else ["."]
    for folder in folders:
        found, wanted = Dataset(out / folder), Dataset(tmp_path / "whole" / folder)
        found.verify()
        assert found.ids == wanted.ids
        for one in wanted:
            assert_same(found[one.id], one)
    with pytest.raises(DatasetError, match="was begun with another configuration"):
        every_verb(sources[::-1], out, Opening(resume=True))[verb]()
    every_verb(sources, out, Opening(overwrite=True))[verb]()
    assert Dataset(out / folders[0]).content_hash == Dataset(tmp_path / "whole" / folders[0]).content_hash


def test_a_kill_leaves_a_dataset_that_is_gone_on_with(tmp_path):
    source, out = write(tmp_path / "source", play(range(60))), tmp_path / "out"
    slow = (
        "import sys, time\nfrom rig.data import writer\nfrom rig.cli.main import main\n"
        "writer.DatasetWriter.__init__.__kwdefaults__['shard_steps'] = 8\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["data", "filter", "--source", str(source), "--min-steps", "2", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-c", slow, *words], stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "shards" / "frames-00001.parquet").exists():
        time.sleep(0.005)
    process.kill()
    assert process.wait() < 0
    there = len(Dataset(out, allow_incomplete=True))
    assert 0 < there < 60
    assert main([*words, "--resume"]) == 0
    assert Dataset(out).ids == Dataset(source).ids
    Dataset(out).verify()


def test_the_commands_tell_what_they_kept_in_a_table_and_as_json(tmp_path, capsys):
    one, two = dataset_at(tmp_path / "one", range(12)), dataset_at(tmp_path / "two", range(10, 20))
    for words, told in (
        (f"merge --sources {one} {two}", "4 trajectories of the same id were renamed, as episode-10 to episode-10@"),
        (f"split --source {one} --share train=0.7 validation=0.3 --salt x", "validation"),
        (f"filter --source {one} --success won --seeds 0:5", "dropped for its outcome"),
        (f"dedupe --source {one} --near 8", "kept steps show a frame that was there before"),
    ):
        out = tmp_path / words.split()[0]
        assert main(["data", *words.split(), "--out", str(out), "--json-last"]) == 0
        *text, last = capsys.readouterr().out.splitlines()
        assert told in "\n".join(text)
        found = json.loads(last)
        assert found["out"] == str(out)
        parts = found["parts"].values() if "parts" in found else [found["kept"]]
        folders = [part["path"] for part in parts] if "parts" in found else [out]
        assert [part["steps"] for part in parts] == [Dataset(folder).num_steps for folder in folders]


@pytest.mark.parametrize("verb", VERBS)
def test_an_episode_of_any_length_is_copied_with_few_of_its_frames_in_memory(tmp_path, small_groups, monkeypatch, verb):  # noqa: F811
    monkeypatch.setattr("rig.stages.deduping._BATCH_BYTES", 4 * FRAME_BYTES)
    one, other = long_one(), replace(long_one(8), id="short", seed=3)
    sources = [write(tmp_path / name, [each], info_for(size=SIZE)) for name, each in (("a", one), ("b", other))]
    both = write(tmp_path / "both", [one, other], info_for(size=SIZE))
    out = tmp_path / "out"
    ways = every_verb(sources if verb == "merge" else [both, both], out)
    ways["dedupe"] = lambda: dedupe(both, DedupeConfig(near=4), out)
    dedupe(sources[1], DedupeConfig(near=4), tmp_path / "first")  # what is imported on first use is no frame
    with Peak() as peak:
        ways[verb]()
    assert peak.bytes < LONG * FRAME_BYTES / 2
    steps = sum(Dataset(path.parent).num_steps for path in out.rglob("manifest.json"))
    assert steps == LONG + (8 if verb != "dedupe" else 0), "the short one is the beginning of the long one"


@pytest.mark.parametrize("stage", ["reason", "rehearse", "rereview"])
def test_no_stage_writes_over_what_it_reads(made, tmp_path, stage):
    source = tmp_path / "source"
    shutil.copytree(made.data, source)
    run = {
        "reason": lambda out, how: reason(source, ReasonConfig(), out, how),
        "rehearse": lambda out, how: rehearse(source, RehearseConfig(), out, how),
        "rereview": lambda out, how: rereview(source, RereviewConfig(), out, how),
    }[stage]
    for out, how in ((source, Opening(overwrite=True)), (source / "new", Opening())):
        with pytest.raises(DatasetError, match=r"which is read; choose another folder as --out"):
            run(out, how)
    assert Dataset(source).content_hash == Dataset(made.data).content_hash
    Dataset(source).verify()


def test_what_verbs_make_is_learned_from_as_any_other_dataset(made, tmp_path):
    """Steps that were taken out are the same conversations as they are in whole episodes."""
    source = Dataset(made.data)
    filter_dataset(made.data, FilterConfig(seeds=("0:1",), actors=("teacher",), keep="steps"), tmp_path / "some")
    filter_dataset(made.data, FilterConfig(seeds=("2:9",), actors=("teacher",), keep="steps"), tmp_path / "rest")
    merge([tmp_path / "some", tmp_path / "rest"], MergeConfig(), tmp_path / "all")
    dedupe(tmp_path / "all", DedupeConfig(keep="steps"), tmp_path / "once")
    assert 0 < Dataset(tmp_path / "once").num_steps < source.num_steps, "noise is gone"
    brief = replace(QUICK, steps=2, preview_every=0)
    agent = train_agent(agent_training(tmp_path / "once", made.tokenizers, training=brief), tmp_path / "run")
    assert read_agent(agent)["origin"]["data"][0]["content_hash"] == Dataset(tmp_path / "once").content_hash
