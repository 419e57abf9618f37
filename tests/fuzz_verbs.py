"""`rig data` over spoilt datasets and odd wishes: refused by name with nothing written, or a dataset that holds.

PYTHONPATH=src:tests python -c "import fuzz_verbs; print(fuzz_verbs.run(1000, seed=0))"
"""

from data_mutations import PHRASES, outcomes_of
from fuzz_manifests import FORGED, _forged, _good, _spoilt
from test_data_dataset import varied
from test_data_roundtrip import write

from rig.data import Dataset
from rig.errors import RigError
from rig.stages.deduping import dedupe
from rig.stages.filtering import filter_dataset
from rig.stages.merging import merge
from rig.stages.reshaping_config import DedupeConfig, FilterConfig, MergeConfig, SplitConfig
from rig.stages.splitting import split
from rig.viewer.card import render_card

WORDS = (
    "wood",
    "stone",
    "wood/tool",
    "manual",
    "teacher",
    "policy",
    "expert@1",
    "s1",
    "",
    "../x",
    "0:9",
    "3",
    "9:1",
    *PHRASES,
)
NUMBERS = (None, None, 1, 2, 4, 0, -1, 0.5, 1.0, float("nan"), 10**30)


def _some(rng, values, most=2):
    return tuple(rng.choice(values) for _ in range(rng.randrange(most + 1)))


def _filter(rng, source, out):
    seldom = {
        "tasks": _some(rng, WORDS, 1),
        "seeds": _some(rng, ("0:9", "3", "9:1", "x", "-5:5"), 1),
        "actors": _some(rng, WORDS, 1),
        "success": rng.choice(("won", "lost")),
        "min_steps": rng.choice(NUMBERS),
        "max_steps": rng.choice(NUMBERS),
        "thoughts": rng.choice(("with", "without")),
        "reviews": rng.choice(("with", "without")),
        "dreams": rng.choice(("with", "without")),
        "true_claims": rng.choice((None, 0.5, float("nan"))),
    }
    wanted = {name: seldom[name] for name in rng.sample(sorted(seldom), rng.randrange(3))}
    filter_dataset(source, FilterConfig(**wanted, keep=rng.choice(("trajectories", "steps"))), out)
    return [out]


def _dedupe(rng, source, out):
    dedupe(
        source,
        DedupeConfig(near=rng.choice((None, 0, 8, 511, 512, -1)), keep=rng.choice(("trajectories", "steps"))),
        out,
    )
    return [out]


def _split(rng, source, out):
    shares = {
        name: rng.choice((0.5, 0.5, 0.3, 0, -1, "x", None, float("inf"))) for name in _some(rng, ("a", "b", "../c"))
    }
    split(source, SplitConfig(share=rng.choice((shares, {"a": 0.5, "b": 0.5})), salt=rng.choice(WORDS)), out)
    return [out / "a", out / "b"]


def _merge(rng, source, out):
    other = write(source.parent / "other", varied(3))
    sources = rng.choice(([source, other], [other, source], [source, source], [source]))
    merge(sources, MergeConfig(clashes=rng.choice(("rename", "first", "refuse"))), out)
    return [out]


def _card(rng, source, out):
    render_card(source, out, samples=rng.choice((1, 3, 0)), licence=rng.choice(WORDS))
    page = out.read_text(encoding="utf-8")
    assert page.endswith("</html>\n")
    assert "<script" not in page
    return []


def _case(rng, path):
    source, out = path / "source", path / rng.choice(("source/inside", *["out"] * 9))
    kind = rng.random()
    forged = kind < FORGED
    files = _forged(_good()[0], rng) if forged else _spoilt(rng) if kind < 0.5 else _good()[0]
    for name, data in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    verb = rng.choice((_filter, _dedupe, _split, _merge, _card))
    try:
        made = verb(rng, source, out)
    except RigError:
        assert forged or not out.exists(), "what is refused leaves nothing"
        assert forged or all((source / name).read_bytes() == data for name, data in files.items())
        return "refused"
    for folder in made:
        Dataset(folder).verify()
    return verb.__name__.lstrip("_")


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Run verbs over `count` datasets, spoilt or whole; return the outcomes' counts: which verb was done, or refused.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError, a hang, something that was left
            behind, or a dataset that does not hold.
    """
    return outcomes_of(_case, count, seed)
