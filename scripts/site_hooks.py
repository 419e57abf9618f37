"""What MkDocs is told while it builds the site (`make docs`), beside mkdocs.yml.

* A few pages of the repository, which lie outside of docs/, are pages of the site.
* Links between pages, written as they are right on disk, are led to where pages are on the site.
* Anchors are GitHub's, so that links to headings are right in both places.
* Nothing on a page may be loaded from elsewhere; the build fails where something is.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from docs_check import anchor  # noqa: E402

OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "checkpoints/rig-crafter-small/README.md": "rig-crafter-small.md",
    "checkpoints/rig-minetest-small/README.md": "rig-minetest-small.md",
}
"""Pages that are not in docs/: their place in the repository -> their place on the site."""
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
_CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\"' >]+"
    r"|<link\b[^>]*\bhref=[\"']?(?:https?:)?//[^\"' >]+"
    r"|(?:@import|url\()\s*[\"']?(?:https?:)?//[^\"') ]+"
)


def on_config(config: Any) -> Any:
    """Give headings the anchors that GitHub gives them."""
    config["mdx_configs"].setdefault("toc", {})["slugify"] = lambda title, _: anchor(title)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in docs/."""
    from mkdocs.structure.files import File

    for source, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return a page's text with its links led to the site's pages, and what is folded away read as Markdown."""
    return for_site(markdown, page.file.src_uri)


def for_site(markdown: str, place: str) -> str:
    """Return the text of the page at `place` of the site, as the site has it."""
    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(lambda link: site_link(link[1], place), part) for part in parts[::2]]
    return "".join(parts).replace("<details>", '<details markdown="1">')


def site_link(link: str, place: str) -> str:
    """Return where a link of the page at `place` leads on the site; the link itself where nothing is there."""
    source = {where: name for name, where in OUTSIDE.items()}.get(place, f"docs/{place}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    found = OUTSIDE.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
    return posixpath.relpath(found, posixpath.dirname(place) or ".") if found else link


def on_post_build(config: Any) -> None:
    """Refuse a site that loads something from elsewhere."""
    from mkdocs.exceptions import PluginError

    site = Path(config["site_dir"])
    for path in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")]:
        if found := loaded_from_elsewhere(path.read_text(encoding="utf-8")):
            raise PluginError(f"{path.relative_to(site)} loads something from elsewhere: {found}")


def loaded_from_elsewhere(text: str) -> str:
    """Return what a page or a style sheet loads from another host, "" where it is nothing."""
    found = _LOADED.search(text)
    return found[0] if found else ""
