"""The documentation holds together: the site names every page, and every link leads somewhere. Without MkDocs."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def hooks():
    """The module that MkDocs asks, which needs MkDocs in its functions alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
        return import_module("site_hooks")


@pytest.fixture(scope="module")
def docs_check(hooks):
    return sys.modules["docs_check"]


SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
CARDS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("checkpoints/*/README.md"))


def named(nav):
    """Yield the pages of a part of the site's navigation."""
    for entry in nav:
        for inner in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [inner] if isinstance(inner, str) else named(inner)


def test_the_navigation_names_every_page_once(hooks):
    pages = [name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")]
    found = list(named(SITE["nav"]))
    assert sorted(found) == sorted([*pages, *hooks.OUTSIDE.values()]), "nav in mkdocs.yml, and docs/"
    assert all((ROOT / name).is_file() for name in hooks.OUTSIDE)
    assert set(CARDS) <= set(hooks.OUTSIDE), "the card of every shipped agent is a page"


def test_the_site_stands_alone_and_refuses_broken_links():
    assert SITE["strict"]
    assert SITE["theme"]["font"] is False
    assert set(SITE["validation"].values()) == {"warn"}
    assert all((DOCS / name).is_file() for name in SITE["extra_css"])


@pytest.mark.parametrize("name", [*PAGES, *CARDS])
def test_every_link_of_a_page_leads_somewhere(docs_check, name):
    docs_check.check_links(ROOT / name)
    docs_check.plan(ROOT / name)


def test_a_link_or_an_anchor_that_leads_nowhere_is_told(docs_check, tmp_path):
    (tmp_path / "b.md").write_text("# B\n\n## Two `words`, here\n")
    page = tmp_path / "a.md"
    page.write_text("[b](b.md#two-words-here) [c](https://example.org/x)\n")
    assert docs_check.check_links(page) == 1
    for wrong in ("[b](b.md#three)", "[b](c.md)", "[a](#nothing)"):
        page.write_text(f"fine\n\n{wrong}\n")
        with pytest.raises(docs_check.Failure, match=r"a\.md:3: the link"):
            docs_check.check_links(page)


def test_every_link_of_the_site_leads_to_a_page_or_a_picture_of_it(hooks):
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*") if path.is_file()} | {
        *hooks.OUTSIDE.values()
    }
    for place in named(SITE["nav"]):
        source = next((name for name, where in hooks.OUTSIDE.items() if where == place), f"docs/{place}")
        text = hooks.for_site((ROOT / source).read_text(encoding="utf-8"), place)
        links = [link for part in hooks._CODE.split(text)[::2] for link in hooks._LINK.findall(part)]
        wrong = [link for link in links if (DOCS / place).parent.joinpath(link).resolve() not in absolute(there)]
        assert not wrong, source


def absolute(names):
    return {(DOCS / name).resolve() for name in names}


def test_links_are_led_to_where_a_page_is_on_the_site(hooks):
    assert (
        hooks.for_site("[a](../CHANGELOG.md) [b](data.md#on-disk)", "api.md")
        == "[a](changelog.md) [b](data.md#on-disk)"
    )
    assert hooks.for_site("[a](../log.md#x)", "results/crafter.md") == "[a](../log.md#x)"
    assert hooks.for_site("[a](docs/serve.md#who-may-ask)", "security.md") == "[a](serve.md#who-may-ask)"
    card = "[a](../../docs/log.md#x) [b](https://example.org/docs/a.md) ![c](#here)"
    assert hooks.for_site(card, "rig-minetest-small.md") == card.replace("../../docs/log.md", "log.md")
    code = "`[a](../CHANGELOG.md)`\n\n```sh\n[a](../CHANGELOG.md)\n```\n"
    assert hooks.for_site(code, "api.md") == code
    assert hooks.for_site("<details><summary>all</summary>", "a.md") == '<details markdown="1"><summary>all</summary>'


@pytest.mark.parametrize(
    "text",
    [
        '<link rel="stylesheet" href="https://fonts.example/css">',
        "<script src=//cdn.example/a.js></script>",
        '<img alt="x" src="http://example.org/a.png">',
        "body { background: url('https://example.org/a.png') }",
        '@import "https://example.org/a.css";',
    ],
)
def test_what_would_be_loaded_from_elsewhere_is_found(hooks, text):
    assert hooks.loaded_from_elsewhere(f"<p>fine</p> {text}")


def test_links_and_files_of_its_own_are_nothing_loaded_from_elsewhere(hooks):
    text = '<a href="https://arxiv.org"></a><img src="picture.webp"><link href="assets/a.css">'
    assert not hooks.loaded_from_elsewhere(text + " p { background: url(a.png) }")


@pytest.mark.parametrize("name", [*PAGES, *CARDS])
def test_lists_and_tables_begin_after_an_empty_line(docs_check, name):
    """GitHub shows them without, the site's Markdown does not."""
    text = re.sub(r"^ *```.*?^ *```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines()
    item = re.compile(r" *([*+-]|\d+\.) ")
    wrong = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if before.strip()
        and (
            (item.match(line) and not item.match(before) and not before.startswith("  "))
            or (line.startswith("|") and not before.startswith("|"))
        )
    ]
    assert not wrong


def test_the_first_screen_says_what_it_is_shows_it_and_has_one_command(docs_check):
    first = (DOCS / "index.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert "(picture.webp)" in first
    assert (DOCS / "picture.webp").read_bytes()[:4] == b"RIFF"
    assert re.findall(r"^```sh\n(.*?)^```", first, re.MULTILINE | re.DOTALL) == ["make demo\n"]
    assert not re.search(r"\b(VQ|autoregressive|S[0-4]|RIG-\w+|lookahead)\b", first), "a newcomer's words"
    assert [block.language for block in docs_check.blocks(DOCS / "index.md")] == ["sh"]


def test_the_claims_show_the_success_that_the_results_pages_have():
    claims = (DOCS / "paper-claims.md").read_text(encoding="utf-8").partition("## Imagining")[0]
    shown = re.findall(r"^\| (?:action only|\+ |RIG-|control:).*$", claims, re.MULTILINE)
    assert len(shown) == 6
    for world, column in (("crafter-map", 4), ("minetest", 5)):
        ladder = (DOCS / f"results/{world}.md").read_text(encoding="utf-8").partition("Paired over")[0]
        success = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", ladder, re.MULTILINE))
        for line in shown:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
            row = cells[1] + (", n = 1" if cells[1] == "RIG-lookahead" else "")
            assert cells[column].removesuffix(" (n = 1)") == success[row], (world, row)
