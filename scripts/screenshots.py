"""Draws the pictures of docs/playground.md: the playground's three views on a desktop and on a phone.

    python scripts/screenshots.py [--out docs/figures]

A real `rig playground` with the shipped agent, on loopback, and a headless Chromium; both end with it.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
AGENT = ROOT / "checkpoints" / "rig-crafter-small"
SCREENS = {"desktop": (1200, 760, 1), "phone": (390, 780, 2)}
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")
MOST_BYTES = 150_000
_PATIENCE = 60


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "figures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, screen in SCREENS.items():
        with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as address, browser(*screen) as driver:
            page = Page(driver, address)
            for view, prepare in {"watch": watch, "dream": dream, "record": record}.items():
                prepare(page)
                save(driver.get_screenshot_as_png(), out / f"playground-{view}-{name}.webp")


def watch(page: Page) -> None:
    """Show a decision with a dream and a review, two steps into an episode."""
    page.begin("collect_wood/manual", 1)
    decided = "document.querySelector('#who').textContent.startsWith('It has decided')"
    for step in range(4):
        page.click("step")
        page.until(f"document.querySelector('#told').dataset.step === '{step}' && {decided}")


def dream(page: Page) -> None:
    """Walk until the dream has parted from what really comes."""
    page.begin("collect_wood/manual", 3)
    page.click("tab-dream")
    page.until("document.querySelector('#dream-told').textContent.startsWith('Press a key')")
    for count, key in enumerate(("ArrowUp", "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft"), 1):
        page.tap(key)
        page.until(f"document.querySelectorAll('#strip li').length === {count}")
    page.click("reality")
    page.until("document.querySelectorAll('#strip meter').length === 6")


def record(page: Page) -> None:
    """Keep an episode, and play another."""
    page.click("tab-record")
    page.begin("collect_wood/manual", 5)
    page.click("waits")
    for keys in (["ArrowRight", "Space", "ArrowUp"], ["ArrowLeft", "ArrowLeft"]):
        page.click("go")
        page.until("document.querySelector('#record').classList.contains('on')")
        for count, key in enumerate(keys, 1):
            page.tap(key)
            page.until(f"document.querySelector('#told').dataset.step === '{count}'")
        if len(keys) == 3:
            page.click("keep")
            page.until("document.querySelectorAll('#kept li').length === 1")


class Page:
    """The page, as somebody uses it."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        driver.get(address)
        self.until("document.querySelector('#told').textContent.includes('step 0')")

    def until(self, holds: str) -> None:
        """Wait until an expression holds."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, _PATIENCE, poll_frequency=0.05).until(
            lambda driver: driver.execute_script(f"return {holds}"), f"{holds} never came to hold"
        )

    def click(self, name: str) -> None:
        """Click."""
        self.driver.execute_script("document.getElementById(arguments[0]).click()", name)

    def tap(self, code: str) -> None:
        """Press a key, and let it go."""
        for kind in ("keydown", "keyup"):
            self.driver.execute_script(
                "document.body.dispatchEvent(new KeyboardEvent(arguments[0], {code: arguments[1], bubbles: true}))",
                kind,
                code,
            )

    def begin(self, task: str, number: int) -> None:
        """Begin an episode."""
        self.driver.execute_script(
            "document.getElementById('task').value = arguments[0]; "
            "document.getElementById('number').value = arguments[1]; "
            "document.getElementById('told').dataset.step = '';",
            task,
            number,
        )
        self.click("begin")
        self.until("document.querySelector('#told').dataset.step === '0'")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a playground; yield its address."""
    command = [sys.executable, "-m", "rig", "playground", "--agent", str(AGENT), "--port", "0", "--record", "play/s0"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"open (\S+) in a browser", line)
        assert found, line
        yield found[1]
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def browser(width: int, height: int, scale: int) -> Iterator[Any]:
    """Yield a headless Chromium with a screen of this size."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield driver
    finally:
        driver.quit()


def save(png: bytes, path: Path) -> None:
    """Write a picture as WebP, small enough for a page."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in (90, 80, 70, 60):
        image.save(path, quality=quality, method=6)
        if path.stat().st_size < MOST_BYTES:
            break
    print(f"{path}: {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
