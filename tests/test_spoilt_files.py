"""Every file of ours that a crash or a user spoils is refused by name, or made anew where it was only kept."""

import json
import os
from dataclasses import asdict

import pytest

from rig.data import DatasetInfo
from rig.data.manifest import Manifest
from rig.dialogue import TextTokenizer, train_bpe
from rig.envs.minetest import survey
from rig.envs.minetest.places import Spot
from rig.errors import CheckpointError, RigError
from rig.model import PRESETS, VisionModel, VQModel, save_weights
from rig.recipes.jobs import Job, core_hours
from rig.storage import append_json_line, read_json, read_json_lines, write_json
from rig.train.runs import Run
from rig.train.tokenizers import Tokenizers
from rig.train.vision import load_vision

SPOILT = {
    "empty": "",
    "truncated": '{"value": 1, "oth',
    "a list": "[1]",
    "a text": '"x"',
    "null": "null",
    "not a number": '{"value": NaN}',
    "endless": '{"value": 1e999}',
    "deep": '{"value": ' * 100_000,
    "deep but whole": '{"value": ' * 400 + "1" + "}" * 400,
    "bytes": b"\xff\xfe\x00",
}


def spoil(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("text", SPOILT.values(), ids=SPOILT.keys())
def test_no_reader_of_ours_takes_what_is_not_one_whole_object(tmp_path, text):
    path = tmp_path / "about.json"
    spoil(path, text)
    with pytest.raises(RigError, match=r"about\.json .*; restore it, or make it anew"):
        read_json(path)
    spoil(path.with_suffix(".jsonl"), text)
    if text not in ("", SPOILT["truncated"]):  # half a last line is left out
        append_json_line(path.with_suffix(".jsonl"), {})
        spoil(path.with_suffix(".jsonl"), (text if isinstance(text, bytes) else text.encode()) + b"\n{}\n")
        with pytest.raises(RigError, match=r"about\.jsonl, line 1.*; restore the file, or remove it"):
            read_json_lines(path.with_suffix(".jsonl"), dict[str, int])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RigError, match=r"about\.json cannot be read \(No such file"):
        read_json(tmp_path / "about.json")


def test_a_name_that_the_locale_cannot_read_stands_in_the_files_of_runs_and_of_datasets(tmp_path):
    name = os.fsdecode(b"r\xe9sum\xe9")
    config = {"tokenizers": name, "training": {"steps": 2}}
    Run(tmp_path / "run", config).close()
    Run(tmp_path / "run", config, resume=True).close()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["config"]["tokenizers"] == name
    info = DatasetInfo(name="x", stage="s1", environment="crafter", frame_size=(9, 9), action_space=_space())
    Manifest(info=info, provenance=({"command": f"rig collect --out {name}"},)).save(tmp_path)
    assert Manifest.load(tmp_path).provenance[0]["command"].endswith(name)


def _space():
    from rig.actions import CRAFTER

    return CRAFTER


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A folder of tokenizers and a tower, of the smallest sizes."""
    folder, config = tmp_path_factory.mktemp("parts"), PRESETS.get("debug")
    train_bpe(["collect wood"], vocabulary_size=300).save(folder)
    save_weights(VQModel(config.vq), folder / "vq.safetensors")
    write_json(folder / "vq.json", asdict(config.vq))
    write_json(folder / "scores.json", {"psnr": 20.5, "frames": 4.0})
    save_weights(VisionModel(config.vision), folder / "vision.safetensors")
    write_json(folder / "vision.json", {"model": asdict(config.vision), "labeller": "crafter", "labels": ["tree"]})
    return folder


def load_both(folder):
    Tokenizers.load(folder)
    tower(folder)


def tower(folder):
    return load_vision(folder, PRESETS.get("debug").vision)


CHANGES = {
    "vq.json": ({"channel_multiplier": 1}, {"code_dim": None}, {"code_dim": "8"}, {"image_size": 0}, {"more": 1}),
    "scores.json": ({"psnr": None}, {"psnr": "20"}, {"psnr": [20]}),
    "vision.json": ({"model": []}, {"model": {}}, {"labels": None}, {"labels": [1]}, {"labeller": 0}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_spoilt_tokenizers_and_towers_are_refused_by_name(parts, name):
    load_both(parts)
    load = tower if name == "vision.json" else Tokenizers.load
    path = parts / name
    whole = path.read_text()
    changed = [json.dumps(json.loads(whole) | change) for change in CHANGES[name]]
    lacking = [json.dumps(dict(list(json.loads(whole).items())[1:]))] if name != "scores.json" else []
    try:
        for text in (*SPOILT.values(), *changed, *lacking):
            spoil(path, text)
            with pytest.raises(CheckpointError, match=f"{name}.*(restore it from a copy, or make|unknown field)"):
                load(parts)
        path.unlink()
        with pytest.raises(CheckpointError, match=f"{name} cannot be read"):
            load(parts)
    finally:
        path.write_text(whole)


@pytest.mark.parametrize("name", ["vq.safetensors", "vision.safetensors"])
def test_spoilt_weights_of_tokenizers_and_towers_are_refused_by_name(parts, name):
    load = tower if name.startswith("vision") else Tokenizers.load
    path = parts / name
    whole = path.read_bytes()
    other = whole.replace(b'"F32"', b'"I32"')
    not_numbers = whole[:-4] + b"\xff\xff\xff\xff"
    try:
        for data in (b"", whole[:100], whole[:-1], other, not_numbers):
            path.write_bytes(data)
            with pytest.raises(CheckpointError, match=name):
                load(parts)
    finally:
        path.write_bytes(whole)
    load_both(parts)


def test_a_job_whose_dataset_is_spoilt_says_so(tmp_path):
    job = Job(name="s1", arguments=("collect",), result=tmp_path / "manifest.json")
    for text in SPOILT.values():
        spoil(job.result, text)
        with pytest.raises(RigError, match=r"manifest\.json .*; restore it, or make it anew"):
            _ = job.is_done
    job.result.write_text('{"complete": "no"}')
    assert not job.is_done


@pytest.mark.parametrize("line", ["[]", "{}", '{"job": "s1", "seconds": NaN, "threads": 1}', "1", '{"job": 1}'])
def test_spoilt_times_of_jobs_are_named(tmp_path, line):
    (tmp_path / "times.jsonl").write_text('{"job": "s1", "seconds": 3600, "threads": 2}\n')
    assert core_hours(tmp_path) == {"s1": 2.0}
    with (tmp_path / "times.jsonl").open("a") as times:
        times.write('{"job": "s1", "seconds": 3600, "threads": 2, "busy": 1800}\n')
    assert core_hours(tmp_path) == {"s1": 2.5}
    (tmp_path / "times.jsonl").write_text(line + "\n")
    with pytest.raises(RigError, match=r"times\.jsonl, line 1: .*; restore the file, or remove it"):
        core_hours(tmp_path)


def test_spoilt_spots_are_searched_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    spot = Spot(area="forest", at=(1, 2, 3), soil=True, tree=4, grass=0, dirt=1, soft=2, firm=3, air=4, far=())
    searches = []
    monkeypatch.setattr(survey, "_search", lambda seed: searches.append(seed) or [spot])
    find = survey.spots_of.__wrapped__
    assert find(5) == find(5) == (spot,)
    assert searches == [5]
    (file,) = tmp_path.rglob("5.json")
    whole = json.loads(file.read_text())
    wrong = [json.dumps([whole[0] | change]) for change in ({"at": [1, 2]}, {"tree": None}, {"soil": "x"}, {"a": 1})]
    for text in (*SPOILT.values(), *wrong):
        spoil(file, text)
        assert find(5) == (spot,)
    assert len(searches) == 1 + len(SPOILT) + len(wrong)


@pytest.mark.parametrize("line", ["[]", "{}", '{"step": "x"}', "[" * 5_000, '{"step": NaN}', '{"step": null}'])
def test_a_run_names_the_line_of_its_metrics_that_is_spoilt(tmp_path, line):
    with Run(tmp_path, {"a": 1}, resume=True) as run:
        run.log(1, {"loss": float("nan")})  # a measurement may be none
        assert len(run.metrics()) == 1
        (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1, "loss": 2.0}}\n{line}\n')
        with pytest.raises(RigError, match=r"metrics\.jsonl, line 2.*; restore the file, or remove it"):
            run.metrics()


def test_a_run_and_a_tokenizer_live_in_a_folder_whose_name_no_locale_can_read(tmp_path):
    folder = tmp_path / os.fsdecode(b"r\xe9sum\xe9")
    for _ in range(2):
        with Run(folder, {"a": 1}, resume=True) as run:
            run.log(1, {"loss": 0.5})
    assert len(run.metrics()) == 2
    text = train_bpe(["collect wood"], vocabulary_size=300)
    text.save(folder)
    assert len(TextTokenizer.load(folder)) == len(text)
