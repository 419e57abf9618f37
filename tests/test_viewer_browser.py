"""The trace page in a real browser: keys, marks, filter and address, without a single message in its console."""

import copy
import io
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import crafter
import numpy as np
import pytest
from PIL import Image

from rig.actions import CRAFTER, Action
from rig.records import Dream, Lineage, Plan, Review, Step, Trajectory, fake_trajectory
from rig.viewer import render_trace

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(os.environ.get("RIG_SKIP_BROWSER") == "1", reason="RIG_SKIP_BROWSER=1"),
]

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
pytestmark.append(pytest.mark.skipif(not (os.path.exists(CHROMIUM) and os.path.exists(DRIVER)), reason="no Chromium"))
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
HOSTILE = "1. </script><script>document.title='owned'</script> 2. <img src=x onerror=alert(1)> & <!-- done."
MOVES = ["move_left", "move_right", "move_up", "move_down", "use"]


def imagined(frame, random, blur):
    """A dream as a small model draws it: blurred and a little off in colour."""
    side = frame.shape[0]
    small = Image.fromarray(frame).resize((side // blur, side // blur), Image.Resampling.BOX)
    soft = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)
    return np.clip(soft * random.uniform(0.85, 1.1, 3) + random.normal(0, 3, soft.shape), 0, 255).astype(np.uint8)


def dream_ahead(env, actions, random):
    """What a world would really show after `actions`, and dreams of it that grow worse."""
    world = copy.deepcopy(env)
    dreams = []
    for depth, action in enumerate(actions, 2):
        real = world.step(1 + MOVES.index(action))[0]
        thought = f"1. After {action.replace('_', ' ')} the tree should be closer. 2. Nothing blocks the way yet."
        frame = imagined(real, random, depth)
        dreams.append(Dream(thought=thought, action=Action.press(action), frame=frame, real_frame=real))
    return tuple(dreams)


def lookahead_trajectory(seed=0, length=24, success=True):
    """An episode in Crafter with a lookahead at every second step, reviewed with and without a change."""
    random = np.random.default_rng(seed)
    env = crafter.Env(size=(144, 144), seed=seed)
    frame, previous, steps, samples = env.reset(), Action(), [], 0
    for index in range(length):
        actions = [MOVES[number] for number in random.integers(0, 5, 3)]
        dreams = dream_ahead(env, actions, random) if index % 2 else ()
        changed = index % 4 == 1
        action = Action.press("use" if changed and actions[0] != "use" else actions[0])
        text = f"1. A tree stands to the right, grass is below. 2. The wood count is {samples}. 3. Go on."
        review = Review(thought=text, action=action, helped=action != dreams[0].action) if dreams else None
        claims = [
            {"text": "A tree stands to the right", "verdict": index % 3 != 0},
            {"text": f"The wood count is {samples}", "verdict": True},
            {"text": "Energy is low", "verdict": None},
        ]
        step = Step(
            index=index,
            frame=frame,
            instruction="collect wood",
            previous_action=previous,
            action=action,
            thought=text,
            dreams=dreams,
            review=review,
            reward=float(index % 7 == 3),
            privileged={"claims": claims, "samples": samples},
        )
        frame, _, _, _ = env.step(1 + MOVES.index(*action.keys))
        steps.append(replace(step, next_frame=frame))
        previous, samples = action, samples + (index % 7 == 3)
    return Trajectory(
        id=f"live-{seed}",
        environment="crafter",
        task="collect_wood",
        setting="tool" if seed % 2 else "manual",
        seed=seed,
        action_space=CRAFTER.name,
        steps=tuple(steps),
        success=success,
        samples=samples,
        lineage=Lineage(stage="live", actor="rig-lookahead"),
    )


@pytest.fixture(scope="module")
def lookahead():
    return lookahead_trajectory()


@pytest.fixture(scope="module")
def trace(tmp_path_factory, lookahead):
    """A page of four episodes: dreams and reviews, a hostile thought, and a fake one without dreams."""
    hostile = tuple(replace(step, thought=HOSTILE) for step in lookahead.steps[:3])
    episodes = [
        lookahead,
        replace(fake_trajectory(1, length=5), task="dig_down", success=False),
        replace(lookahead, id="live-2", seed=2, success=False, steps=hostile),
        replace(lookahead, id="live-3", seed=3, steps=lookahead.steps[:6]),
    ]
    path = tmp_path_factory.mktemp("trace") / "trace.html"
    meta = {"checkpoint": "small <b>", "lookahead": "n = 3", "commit": "a6967f0"}
    return render_trace(episodes, path, title="RIG-lookahead on Crafter <test>", meta=meta, first=(0, 0))


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    for program in (CHROMIUM, DRIVER):
        if shutil.which(program) is None:
            pytest.fail(
                f"{program} is missing. Install it: apt-get update && apt-get install -y --no-install-recommends "
                "chromium chromium-driver; or set RIG_SKIP_BROWSER=1 to go without the browser tests"
            )
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "--window-size=1280,900"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield browser
    browser.quit()


class Page:
    """The opened page, as a reader uses it."""

    def __init__(self, driver, path: Path, address: str = "") -> None:
        self.driver = driver
        driver.get("about:blank")
        driver.get(path.as_uri() + address)

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def step_through(self, count):
        """Show `count` more steps, laid out each."""
        self.driver.execute_script(
            "for (let i = 0; i < arguments[0]; i++) { document.body.dispatchEvent("
            "new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true})); document.body.offsetHeight; }",
            count,
        )

    def text(self, selector):
        return self.driver.execute_script("return document.querySelector(arguments[0]).innerText", selector)

    def count(self, selector):
        found = "return [...document.querySelectorAll(arguments[0])].filter((node) => node.checkVisibility()).length"
        return self.driver.execute_script(found, selector)

    def until(self, script, expected):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 5, poll_frequency=0.05).until(
            lambda driver: driver.execute_script(f"return {script}") == expected, f"{script} never was {expected!r}"
        )

    def console(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture
def page(driver, trace):
    opened = Page(driver, trace)
    yield opened
    assert opened.console() == []


@pytest.fixture
def keys():
    from selenium.webdriver.common.keys import Keys

    return Keys


def test_it_opens_on_the_first_step(page, tmp_path):
    assert page.driver.title == "RIG-lookahead on Crafter <test>"
    assert page.text("#title") == "RIG-lookahead on Crafter <test>"
    assert page.text("#counter") == "Step 1 of 24"
    assert page.text("#task") == "collect_wood · manual"
    assert page.text("#badge") == "✓ success"
    assert page.text("#moment .thought").splitlines()[0].startswith("1. A tree stands to the right")
    assert page.count("#lookahead") == 0
    assert page.count("#list li") == 4
    widths = page.driver.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert widths == [144, 144]
    page.driver.save_screenshot(str(tmp_path / "first.png"))
    assert (tmp_path / "first.png").stat().st_size > 10_000


def test_keys_scrub_and_the_review_is_marked(page, keys):
    page.press(keys.ARROW_RIGHT)
    assert page.text("#counter") == "Step 2 of 24"
    assert page.count(".dream") == 3
    assert page.count(".dream img") == 6
    assert page.text(".mind .thought").splitlines()[1] == "2. Nothing blocks the way yet."
    assert page.text("#dreams .thought").splitlines()[1] == "2. Nothing blocks the way yet."
    assert "PSNR" in page.text(".dream .match")
    assert page.text("#review .phrase") == "Wait! Let's re-observe..."
    assert "changed by the review" in page.text("#review")
    assert "changed by the review" in page.text("#action")
    page.press(keys.ARROW_RIGHT, keys.ARROW_RIGHT)
    assert "kept by the review" in page.text("#review")
    assert "changed" not in page.text("#action")
    page.press(keys.END)
    assert page.text("#counter") == "Step 24 of 24"
    page.press(keys.ARROW_RIGHT, keys.HOME, keys.ARROW_LEFT)
    assert page.text("#counter") == "Step 1 of 24"
    page.press("r", "r")
    assert page.count("#review.turned") == 1
    marks = page.driver.execute_script("return document.querySelector('#chart .marks').getAttribute('d')")
    assert marks.count("M") >= 3


def test_d_swaps_reality_for_the_difference(page, keys):
    page.press(keys.ARROW_RIGHT)
    assert page.count(".difference") == 0
    page.press("d")
    assert page.count(".difference") == 3
    assert page.text("#lookahead").count("Really came") == 0
    page.press(keys.ARROW_RIGHT, keys.ARROW_RIGHT)
    assert page.count(".difference") == 3
    page.driver.find_element("id", "difference").click()
    assert page.count(".difference") == 0


def test_the_difference_is_the_difference(driver, tmp_path):
    step = fake_trajectory(length=1, num_dreams=1).steps[0]
    flat = np.full((8, 8, 3), 100, np.uint8)
    dream = replace(step.dreams[0], frame=flat, real_frame=flat + np.array([20, 0, 40], np.uint8))
    trajectory = fake_trajectory(length=1).with_steps((replace(step, dreams=(dream,)),))
    page = Page(driver, render_trace([trajectory], tmp_path / "flat.html"))
    page.press("d")
    shown = Image.open(io.BytesIO(driver.find_element("css selector", ".overlay").screenshot_as_png)).convert("RGB")
    assert shown.getpixel((shown.width // 2, shown.height // 2)) == pytest.approx((60, 0, 120), abs=2)


def test_claims_are_marked_true_false_and_unchecked(page):
    lines = page.text("#moment .thought").splitlines()
    assert "A tree stands to the right✗ false" in lines[0]
    assert "The wood count is 0✓ true" in lines[1]
    assert lines[-1] == "Energy is low? unchecked"


def test_the_address_keeps_episode_and_step(driver, trace, keys):
    page = Page(driver, trace, "#4/5")
    assert page.text("#counter") == "Step 5 of 6"
    page.press(keys.ARROW_RIGHT)
    page.until("location.hash", "#4/6")
    driver.execute_script("location.hash = '#1/3'")
    page.until("document.querySelector('#counter').innerText", "Step 3 of 24")
    for nonsense in ("#99/99", "#0/0", "#<img>"):
        page = Page(driver, trace, nonsense)
        assert page.text("#counter").startswith("Step ")
    assert page.console() == []


def test_episodes_change_and_filter(page):
    page.press("]")
    assert page.text("#badge") == "✗ failed"
    assert page.text("#task") == "dig_down · manual"
    page.press("[", "[")
    assert page.text("#task") == "collect_wood · manual"
    page.driver.find_element("id", "search").send_keys("collect")
    assert page.count("#list li") == 3
    assert page.text("#tally") == "(3 of 4)"
    assert page.text("#counter") == "Step 1 of 24"
    page.driver.execute_script("document.activeElement.blur()")
    page.press("]")
    assert page.text("#list [aria-current=true] strong") == "3. collect_wood"
    page.driver.find_element("css selector", "#outcome option[value=success]").click()
    assert page.count("#list li") == 2
    page.driver.find_element("id", "search").send_keys(" nothing")
    assert page.count("#none") == 1


def test_a_hostile_thought_is_only_text(driver, trace):
    page = Page(driver, trace, "#3/1")
    assert page.text("#moment .thought").splitlines()[:2] == [
        HOSTILE[: HOSTILE.index(" 2. ")],
        HOSTILE[HOSTILE.index("2. ") :],
    ]
    assert driver.title == "RIG-lookahead on Crafter <test>"
    assert page.console() == []
    blocked = driver.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.owned = true';"
        "document.body.append(script); return window.owned === undefined"
    )
    assert blocked
    assert "Content Security Policy" in page.console()[0]


def test_it_plays_and_pauses(page, keys):
    page.press(keys.END, keys.ARROW_LEFT, keys.ARROW_LEFT, " ")
    assert page.text("#play") == "Pause"
    page.until("document.querySelector('#counter').innerText", "Step 24 of 24")
    page.until("document.querySelector('#play').innerText", "Play")
    assert page.text("#live").startswith("Step 24 of 24, action ")
    page.press(" ", " ")
    assert page.text("#play") == "Play"


def test_help_opens_and_closes_and_everything_has_a_name(page, keys):
    page.press("?")
    assert page.count("#help") == 1
    page.press(keys.ARROW_RIGHT)
    assert page.text("#counter") == "Step 1 of 24"
    page.press(keys.ESCAPE)
    assert page.count("#help") == 0
    unnamed = page.driver.execute_script(
        "return [...document.querySelectorAll('button, select, input')].filter((node) =>"
        " !(node.ariaLabel || node.textContent.trim())).map((node) => node.id)"
    )
    assert unnamed == []
    assert page.driver.execute_script("return [...document.images].every((image) => image.alt)")


@contextmanager
def screen(driver, width, height=900):
    """A screen of this size, as long as the block runs."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_sticks_out(driver, trace, width):
    with screen(driver, width):
        page = Page(driver, trace, "#1/2")
        page.press("d")
        assert driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.fixture(scope="module")
def ways(tmp_path_factory, lookahead):
    """A page of three ways of playing: two of the same task and seed, the lookahead's first plan turned."""
    told = {"says": "keep", "did": "change", "consistent": False}
    steps = [replace(step, dreams=step.dreams[:1]) for step in lookahead.steps[:12]]
    claims = [*steps[1].privileged["claims"], {"text": "Go on", "verdict": False, "of": "dream", "dreamed": True}]
    steps[1] = replace(steps[1], privileged={**steps[1].privileged, "verdict": told, "claims": claims})
    ahead = lookahead.with_steps(tuple(steps))
    plain = tuple(replace(step, dreams=(), review=None) for step in ahead.steps[:5])
    episodes = [
        replace(ahead, id="basic", success=False, steps=plain),
        replace(ahead, id="ahead"),
        replace(ahead, id="taught", seed=7, task="dig_down", steps=plain),
    ]
    named = ["RIG-basic", "RIG-lookahead, n = 1", "the teacher crafter"]
    results = {"RIG-basic": {"collect_wood/manual": (3, 10)}, "RIG-lookahead, n = 1": {"collect_wood/manual": (8, 10)}}
    path = tmp_path_factory.mktemp("ways") / "trace.html"
    return render_trace(episodes, path, ways=named, results=results)


def test_it_tells_who_plays_how_and_with_what_result(driver, ways):
    page = Page(driver, ways)
    assert [line.split("\t") for line in page.text("#scores").splitlines()] == [
        ["Played by", "Success", "Steps"],
        ["RIG-basic", "3 of 10", "5"],
        ["RIG-lookahead, n = 1", "8 of 10", "12"],
        ["the teacher crafter", "1 of 1", "5"],
    ]
    rows = driver.execute_script("return [...document.querySelectorAll('#list .player')].map((row) => row.innerText)")
    assert rows == [f"{way} · rig-lookahead" for way in ("RIG-basic", "RIG-lookahead, n = 1", "the teacher crafter")]
    driver.find_element("css selector", "#by-way option[value='RIG-basic']").click()
    assert page.text("#list strong") == "1. collect_wood"
    assert page.text("#tally") == "(1 of 3)"
    driver.find_element("css selector", "#by-way option[value='']").click()
    driver.find_element("css selector", "#by-cell option[value^='dig_down']").click()
    assert page.text("#list strong") == "3. dig_down"
    assert page.console() == []


def test_it_opens_on_a_dream_beside_what_would_have_come(driver, ways):
    page = Page(driver, ways)
    assert page.text("#counter") == "Step 2 of 12"
    shown = "return [...document.querySelectorAll('#moment figcaption')].map((caption) => caption.innerText)"
    assert driver.execute_script(shown) == ["Observed", "Dreamed", "Would have come", "What came instead"]
    assert "says keep, yet changed its plan" in page.text("#review")
    page.press("\ue014", "\ue014")
    assert driver.execute_script(shown) == ["Observed", "Dreamed", "What came next"], "each frame once"
    assert "its plan" not in page.text("#review")
    assert page.console() == []


def test_claims_of_dreams_are_held_against_the_dream_and_what_came(driver, ways):
    page = Page(driver, ways)
    assert "Go on✓ so dreamed✗ not what comes" in page.text("#review .thought").replace("\n", "")
    assert "Energy is low? unchecked" in page.text("#review .thought").replace("\n", "")
    assert page.count("#review .claim.bad") == 1
    assert page.console() == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (500, 844), (390, 844)])
@pytest.mark.parametrize("is_reviewed", [True, False])
def test_what_came_of_a_plan_that_was_kept_is_shown_once(driver, lookahead, tmp_path, width, height, is_reviewed):
    kept = lookahead.steps[3]
    step = replace(kept, dreams=kept.dreams[:1], review=kept.review if is_reviewed else None)
    other = replace(step, next_frame=kept.dreams[1].real_frame)
    path = render_trace([lookahead.with_steps((step, other))], tmp_path / "kept.html")
    with screen(driver, width, height):
        page = Page(driver, path)
        assert page.count("#moment img") == 3
        boxes = driver.execute_script(
            "return [...document.querySelector('#moment').children].map((node) => node.getBoundingClientRect())"
        )
        assert max(box["bottom"] for box in boxes) <= height
        for number, one in enumerate(boxes):
            for two in boxes[:number]:
                beside = one["left"] >= two["right"] or two["left"] >= one["right"]
                assert beside or one["top"] >= two["bottom"] or two["top"] >= one["bottom"]
        page.press("\ue014")
        assert page.count("#moment img") == 4, "another frame is shown as well"
        assert page.console() == []


def test_the_ways_of_one_start_stand_beside_each_other_and_switch_at_the_same_step(driver, ways):
    page = Page(driver, ways, "#2/4")
    assert page.count("#beside .other") == 2
    assert page.count("#beside .here") == 1
    assert "RIG-basic" in page.text("#beside")
    page.press("w")
    assert (page.text("#counter"), page.text("#badge")) == ("Step 4 of 5", "✗ failed")
    assert page.text("#switch [aria-pressed=true]").startswith("RIG-basic")
    page.press("w")
    assert page.text("#counter") == "Step 4 of 12"
    page.press("\ue010")
    assert "Step 5 of 5, where it ended" in page.text("#beside")
    driver.find_element("css selector", "#switch button").click()
    assert page.text("#counter") == "Step 5 of 5"
    page.press("]", "]")
    assert page.text("#task") == "dig_down · manual"
    assert page.count("#switch") == page.count("#beside") == 0
    assert page.console() == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (500, 844), (390, 844)])
def test_the_first_screen_shows_results_frame_dream_what_would_have_come_and_review(driver, ways, width, height):
    with screen(driver, width, height):
        Page(driver, ways)
        reach = "return [...document.querySelectorAll(arguments[0])].map((node) => node.getBoundingClientRect().bottom)"
        for shown in ("#scores", "#moment img", ".mind", "#review .act"):
            bottoms = driver.execute_script(reach, shown)
            assert bottoms, shown
            assert max(bottoms) <= height, shown
        assert driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
        assert driver.execute_script("return document.querySelectorAll('#moment img').length") == 4


@pytest.fixture(scope="module")
def several(tmp_path_factory, lookahead):
    """A page of decisions among three plans, two steps ahead, by votes alone, and of one that all agreed on."""
    base = replace(lookahead.steps[1], review=None)
    actions = ["move_left", "use", "move_up"]
    plans = [
        Plan(
            thought=HOSTILE,
            action=Action.press(name),
            votes=2 - bool(number),
            score=1.5 * number,
            judgement=f"{9 - number} to go {HOSTILE}",
            dreams=tuple(replace(dream, action=Action.press(name)) for dream in base.dreams[:2]),
        )
        for number, name in enumerate(actions)
    ]
    bare = [replace(plan, dreams=(), score=None, judgement=None) for plan in plans]
    steps = [
        replace(base, index=0, action=plans[2].action).with_plans(plans, 2),
        replace(base, index=1, action=plans[0].action).with_plans(bare, 0),
        replace(base, index=2, action=plans[0].action).with_plans([replace(bare[0], votes=4)]),
        replace(base, index=3, action=plans[1].action).with_plans(plans * 6, 16),
    ]
    path = tmp_path_factory.mktemp("several") / "trace.html"
    return render_trace([lookahead.with_steps(steps)], path)


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (500, 844), (390, 844)])
def test_plans_stand_beside_each_other_and_nothing_sticks_out(driver, several, width, height):
    with screen(driver, width, height):
        page = Page(driver, several, "#1/1")
        page.driver.execute_script("document.querySelector('#plans').scrollIntoView()")
        boxes = driver.execute_script(
            "return [...document.querySelectorAll('#plans .plan')].map((node) => node.getBoundingClientRect())"
        )
        assert len(boxes) == 3
        assert boxes[0]["top"] == boxes[1]["top"]
        assert boxes[0]["right"] <= boxes[1]["left"]
        assert (boxes[1]["top"] == boxes[2]["top"]) == (width > 640)
        assert all(box["left"] >= 0 and box["right"] <= width for box in boxes)
        page.press("d")
        assert driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.console() == []


def test_each_plan_shows_its_worth_its_dreams_and_what_comes_of_it(driver, several, keys):
    page = Page(driver, several, "#1/1")
    assert page.text("#plans .plan.chosen h3") == "Plan 3"
    assert page.count(".plan.chosen") == 1
    assert "✓ taken" in page.text(".plan.chosen")
    assert "1 of 4 proposals" in page.text(".plan.chosen .worth")
    assert "score 3" in page.text(".plan.chosen .worth")
    assert page.text(".plan.chosen .judgement") == f"7 to go {HOSTILE}", "text that stays text"
    assert page.count("#plans img") == 3 * 2 * 2
    captions = "return [...document.querySelectorAll(arguments[0])].map((caption) => caption.innerText)"
    assert driver.execute_script(captions, ".plan.chosen figcaption")[:2] == ["Dreamed", "Really came"]
    assert set(driver.execute_script(captions, ".plan:not(.chosen) figcaption")) == {"Dreamed", "Would have come"}
    assert page.text("#review").startswith("Review")
    assert "I take plan 3." in page.text("#review")
    assert "plan 3 of 3, against the votes" in page.text("#action")
    assert page.count("#lookahead") == 0, "its dreams are beside the others'"
    page.press("d")
    assert page.count("#plans .difference") == 6
    page.press("d", keys.ARROW_RIGHT)
    assert page.count("#plans .plan") == 3
    assert page.count("#plans img") == page.count("#difference") == 0
    assert "plan 1 of 3" in page.text("#action")
    assert "against" not in page.text("#action")
    page.press(keys.ARROW_RIGHT)
    assert page.count("#weighed") == page.count("#review") == 0
    assert "all 4 proposals agree" in page.text("#action")
    page.press(keys.HOME, "r")
    assert page.text("#counter") == "Step 4 of 4", "the next that was taken against the votes"
    assert page.text(".plan.chosen h3") == "Plan 17", "wherever it stands"
    assert page.count("#plans .plan") == 17
    assert "… 1 plans more, not on this page" in page.text("#plans")
    assert page.driver.title != "owned"
    assert page.console() == []


def opening(driver, episodes, path, **options):
    """Return the opened page and the milliseconds that it took to open and to show two more steps."""
    path = render_trace(episodes, path, **options)
    driver.get("about:blank")
    start = time.perf_counter()
    page = Page(driver, path)
    page.step_through(2)
    return page, 1000 * (time.perf_counter() - start)


HOSTILE_TEXTS = {
    "a word of a megabyte": "x" * 1_000_000,
    "125,000 clauses": " ".join(f"{number}. a" for number in range(1, 125_001)),
    "marks on one letter": "e" + "\u0301" * 1_000_000,
}


@pytest.mark.parametrize("text", list(HOSTILE_TEXTS.values()), ids=list(HOSTILE_TEXTS))
def test_hostile_texts_leave_the_page_responsive(driver, tmp_path, text):
    base = fake_trajectory(0, length=4, num_dreams=1, size=8)
    _, plain = opening(driver, [base], tmp_path / "plain.html")
    review = replace(base.steps[0].review, thought=text + "!")
    dreams = (replace(base.steps[0].dreams[0], thought=text),)
    made = [{"text": text[:20_000], "verdict": True}] * 125_000
    steps = tuple(
        replace(step, thought=text, instruction=text, dreams=dreams, review=review, privileged={"claims": made})
        for step in base.steps
    )
    episode = replace(base, task=text, id=text, steps=steps)
    page, took = opening(driver, [episode], tmp_path / "hostile.html", title=text, meta={text: text})
    assert took < 20 * plain + 2_000, f"{took:.0f} ms, a plain page {plain:.0f} ms"
    assert page.text("#counter") == "Step 3 of 4"
    assert driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
    assert "more" in page.text("#moment .more")
    assert "not on this page" in page.text("#moment")
    assert page.console() == []


def test_a_long_text_unfolds_to_its_end(driver, tmp_path):
    text = "".join(f"{number:05}" for number in range(10_000))
    step = replace(fake_trajectory(size=8).steps[0], thought=text)
    page = Page(driver, render_trace([fake_trajectory().with_steps((step,))], tmp_path / "long.html"))
    assert page.text(".mind .more") == "… 48,800 characters more"
    for _ in range(3):
        driver.find_element("css selector", ".mind .more").click()
    assert page.count(".mind .more") == 0
    shown = driver.execute_script("return document.querySelector('.mind .thought').textContent")
    assert shown == text


def test_many_episodes_and_long_ones_stay_responsive(driver, tmp_path):
    short = fake_trajectory(0, length=1, size=4)
    steps = [
        replace(step, index=index) for index, step in enumerate(fake_trajectory(1, length=10, size=4).steps * 1_000)
    ]
    episodes = [replace(short, id=str(number), seed=number) for number in range(2_000)]
    episodes[1_500] = replace(short, steps=tuple(steps), task="dig_down")
    page, took = opening(driver, episodes, tmp_path / "many.html")
    assert took < 20_000
    assert page.count("#list [data-episode]") == 100
    driver.find_element("css selector", "#list .more").click()
    assert page.text("#list strong") == "101. collect_wood"
    start = time.perf_counter()
    driver.find_element("id", "search").send_keys("dig")
    assert page.text("#tally") == "(1 of 2,000)"
    driver.find_element("css selector", "#list [data-episode]").click()
    page.press("\ue010")
    assert page.text("#counter") == "Step 10000 of 10000"
    assert time.perf_counter() - start < 10
    assert page.console() == []


def test_a_large_trace_stays_responsive(driver, tmp_path):
    random = np.random.default_rng(0)
    pool = random.integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    base = fake_trajectory(0, length=150, num_dreams=2)
    steps = tuple(
        replace(step, frame=pool[step.index % 40], next_frame=pool[(step.index + 1) % 40], dreams=step.dreams[:1])
        for step in base.steps
    )
    episodes = [replace(base, id=f"e{number}", steps=steps) for number in range(20)]
    path = render_trace(episodes, tmp_path / "large.html", title="large", first=(0, 0))
    page = Page(driver, path)
    took = driver.execute_script(
        "const start = performance.now(); for (let i = 0; i < 100; i++) "
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));"
        "return performance.now() - start"
    )
    assert page.text("#counter") == "Step 101 of 150"
    assert took / 100 < 50, f"a step took {took / 100:.0f} ms"
    assert path.stat().st_size < 12_000_000
    assert page.console() == []
