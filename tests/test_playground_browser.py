"""The playground in a real browser, served on loopback: an agent watched, dreams walked, play recorded."""

import pytest
from playground_makers import playground
from test_viewer_browser import driver as browser
from test_viewer_browser import pytestmark, screen

from rig.actions import CRAFTER
from rig.data import Dataset

__all__ = ["browser", "pytestmark"]

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("playground")
    with playground(record=str(folder / "s0"), hertz=30, thought_tokens=32) as server:
        server.record = folder / "s0"
        yield server


class Browser:
    """The opened page, as somebody uses it."""

    def __init__(self, driver, server):
        self.driver = driver
        driver.get("about:blank")
        driver.get_log("browser")
        driver.get(server.http)
        self.until("document.querySelector('#told')?.textContent.includes('step 0')")

    def run(self, script, *values):
        return self.driver.execute_script(script, *values)

    def until(self, script, seconds=15):
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, seconds, poll_frequency=0.02)
        return wait.until(lambda driver: driver.execute_script(f"return {script}"), f"{script} never came to hold")

    def click(self, name):
        self.driver.find_element("id", name).click()

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def key(self, key, kind="keydown", code=None):
        self.run(
            "document.body.dispatchEvent(new KeyboardEvent(arguments[0], {code: arguments[1], bubbles: true}))",
            kind,
            code or key,
        )

    def tap(self, code):
        self.key(code)
        self.key(code, "keyup")

    def step(self):
        return int(self.run("return document.querySelector('#told').dataset.step"))

    def sticks_out(self):
        return self.run("return document.documentElement.scrollWidth - innerWidth")

    def console(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture
def page(browser, served):
    opened = Browser(browser, served)
    yield opened
    assert opened.console() == []
    assert browser.title.endswith("rig playground")
    browser.get("about:blank")


def test_an_agent_is_watched_held_and_taken_over(page):
    page.click("step")
    page.until("document.querySelector('#decided')")
    parts = page.run("return [...document.querySelectorAll('.block')].map((block) => block.dataset.part)")
    assert parts == ["thought", "action", "dream", "thought", "action"]
    assert page.run("return document.querySelector('.block img').naturalWidth") > 0
    decided = page.text("#decided")
    assert page.text("#who") == "It has decided; Step does it."
    page.click("step")
    page.until("document.querySelector('#told').dataset.step === '1'")
    page.until("document.querySelector('#decided')")
    page.click("run")
    page.until("Number(document.querySelector('#told').dataset.step) >= 3")
    page.click("take")
    page.until("document.querySelector('#take').textContent === 'Hand back'")
    before = page.step()
    page.tap("ArrowUp")
    page.until(f"document.querySelector('#told').dataset.step === '{before + 1}'")
    page.driver.find_element("css selector", "#watch-pad button[data-key=use]").click()
    page.until(f"document.querySelector('#told').dataset.step === '{before + 2}'")
    page.click("take")
    page.until("document.querySelector('#take').textContent === 'Take over'")
    page.click("step")
    page.until("document.querySelector('#decided')")
    assert decided


def test_a_thought_that_is_edited_stands_in_the_place_of_its_own_and_is_text_alone(page):
    page.click("step")
    page.until("document.querySelector('#decided')")
    page.click("edit-thought")
    page.run("document.querySelector('#edited').value = arguments[0]", HOSTILE)
    page.click("edit-ask")
    page.until("document.querySelector('#edit').hidden && document.querySelector('#decided')")
    assert page.text(".block[data-part=thought] p") == HOSTILE
    assert page.step() == 0
    page.run("const told = document.querySelector('#instruction'); told.value = 'human: wood'")
    page.run("document.querySelector('#telling').requestSubmit()")
    page.until("!document.querySelector('#error').hidden")
    assert "fixed phrase 'human:'" in page.text("#error")
    page.run("const told = document.querySelector('#instruction'); told.value = 'find a <b>cow</b>'")
    page.run("document.querySelector('#telling').requestSubmit()")
    page.until("document.querySelector('#told').textContent.includes('find a <b>cow</b>')")


def test_several_plans_stand_beside_each_other(page):
    page.run("const way = document.querySelector('#planner'); way.value = 'best of 4'")
    page.run("document.querySelector('#planner').dispatchEvent(new Event('change'))")
    page.click("step")
    page.until("document.querySelector('#decided')")
    assert page.run("return document.querySelector('.ways').children.length") == 4
    assert page.run("return document.querySelectorAll('.decided li.good').length") <= 1


def test_keys_walk_through_dreams_and_reality_stands_beside_them(page):
    page.click("tab-dream")
    page.until("document.querySelector('#dream-told').textContent.startsWith('Press a key')")
    page.tap("ArrowLeft")
    page.until("document.querySelectorAll('#strip li').length === 1")
    assert page.text("#rate").endswith("frames/s")
    page.key("ArrowUp")
    page.until("document.querySelectorAll('#strip li').length >= 6", 20)
    page.key("ArrowUp", "keyup")
    page.click("reality")
    page.until("document.querySelectorAll('#strip meter').length === document.querySelectorAll('#strip li').length")
    assert page.run("return document.querySelector('#real-frame').naturalWidth") == 144
    assert "of the pixels differ" in page.text("#parts")
    assert not page.run("return document.querySelector('#marks').hidden")
    (parted,) = page.run("return [...document.querySelectorAll('#strip li.parts')].map((item) => item.dataset.number)")
    assert page.text("#dream-told") == f"They part at step {parted}.", "it was never trained"
    page.click("wake")
    page.until("!document.querySelector('#strip').children.length")


def test_play_is_recorded_key_by_key(page, served):
    page.click("tab-record")
    page.until("document.querySelector('#go').textContent === 'Record'")
    page.click("waits")
    page.click("go")
    page.until("document.querySelector('#record').classList.contains('on')")
    for count, code in enumerate(("ArrowLeft", "Space", "KeyZ"), 1):
        page.tap(code)
        page.until(f"document.querySelector('#told').dataset.step === '{count}'")
    page.click("waits")
    page.key("ArrowUp")
    page.until("Number(document.querySelector('#told').dataset.step) >= 6")
    page.key("ArrowUp", "keyup")
    page.driver.find_element("css selector", "#record-pad button[data-key=use]").click()
    page.click("keep")
    page.until("document.querySelectorAll('#kept li').length === 1")
    assert "collect_wood-manual" in page.text("#kept")
    (episode,) = Dataset(served.record)
    done = [CRAFTER.format(step.action) for step in episode.steps]
    assert done[:3] == ["move_left", "use", "sleep"]
    assert done[3:].count("move_up") >= 2
    page.click("tab-watch")
    page.until("document.querySelector('#who').textContent === 'It waits.'")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(page, width):
    page.click("step")
    page.until("document.querySelector('#decided')")
    with screen(page.driver, width):
        for view in page.run("return [...document.querySelectorAll('nav button:not([hidden])')].map((tab) => tab.id)"):
            page.click(view)
            assert page.sticks_out() <= 0
