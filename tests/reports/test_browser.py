"""The page in headless Chromium; skipped where there is none."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

BLUR = "getComputedStyle(document.querySelector('{} img')).filter"
CLIP = "getComputedStyle(document.querySelectorAll('.after')[{}]).clipPath"
BEYOND = """[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') &&
    e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, made: Path) -> Iterator[Any]:
    """The page at 1200 pixels; `asked` are the addresses it fetched, `said` its complaints."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, has_touch=True)
    page = context.new_page()
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto((made / "run.report.html").as_uri())
    yield page
    assert page.said == []
    context.close()


def both(page: Any) -> list[Any]:
    """Where the first pictures before and after are."""
    return [page.locator(f".{name}").first.bounding_box() for name in ("before", "after")]


def test_it_renders_and_fetches_nothing(opened, made):
    assert opened.title() == "Cat and Neon are erased from base.safetensors."
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert opened.evaluate("document.images.length") > 20 and opened.evaluate(broken) == 0
    outside = [url for url in opened.asked if not url.startswith("data:")]
    assert outside == [(made / "run.report.html").as_uri()]


def test_the_policy_keeps_out_what_would_be_fetched(opened):
    fetched = "fetch('https://example.org').then(() => 'got', () => 'refused')"
    assert opened.evaluate(fetched) == "refused"
    opened.said.clear()  # the browser's own word on it


def test_the_slider_moves_by_keyboard_mouse_and_touch(opened):
    assert opened.evaluate(CLIP.format(0)) == "inset(0px 0px 0px 50%)"
    opened.locator(".card .at").first.focus()
    opened.keyboard.press("ArrowRight")
    assert opened.evaluate(CLIP.format(0)) == "inset(0px 0px 0px 51%)"
    assert opened.evaluate(CLIP.format(1)) == "inset(0px 0px 0px 50%)"  # of another prompt
    box = opened.locator(".swipe").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    opened.mouse.move(box["x"] + 0.5 * box["width"], middle)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 0.25 * box["width"], middle)
    opened.mouse.up()
    assert opened.evaluate(CLIP.format(0)) == "inset(0px 0px 0px 25%)"
    assert opened.locator(".card .at").first.input_value() == "25"
    opened.touchscreen.tap(box["x"] + 0.75 * box["width"], middle)
    assert opened.evaluate(CLIP.format(0)) == "inset(0px 0px 0px 75%)"
    opened.locator("#all").fill("10")
    assert {opened.evaluate(CLIP.format(n)) for n in (0, 1)} == {"inset(0px 0px 0px 10%)"}


def test_targets_are_blurred_until_the_switch_is_turned(opened):
    blur = {name: BLUR.format(f".card.{name}") for name in ("target", "near", "unrelated")}
    assert "blur" in opened.evaluate(blur["target"]) and opened.evaluate(blur["near"]) == "none"
    opened.get_by_label("Blur what was erased").uncheck()
    assert opened.evaluate(blur["target"]) == "none"
    opened.get_by_label("Blur the rest").check()
    assert opened.evaluate(blur["target"]) == "none"
    assert "blur" in opened.evaluate(blur["near"]) and "blur" in opened.evaluate(blur["unrelated"])


def test_nothing_is_cut_off_on_a_phone(opened):
    opened.set_viewport_size({"width": 400, "height": 800})
    opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    content, window = opened.evaluate(WIDTHS)
    assert content == window
    assert opened.evaluate(BEYOND) == []
    letters = "parseFloat(getComputedStyle(document.querySelector('p.lead')).fontSize)"
    assert opened.evaluate(letters) >= 14


def test_paper_gets_both_pictures_side_by_side_and_every_number(opened):
    opened.emulate_media(media="print")
    before, after = both(opened)
    assert after["x"] >= before["x"] + before["width"] and after["y"] == before["y"]
    assert opened.evaluate(CLIP.format(0)) == "none"
    assert (
        not opened.locator(".switches").is_visible()
        and not opened.locator(".at").first.is_visible()
    )
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate("[...document.querySelectorAll('details')].every(e => e.open)")
    opened.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
    content, window = opened.evaluate(WIDTHS)
    assert content == window
    assert opened.pdf(format="A4").startswith(b"%PDF")


def test_it_works_without_scripts(browser, made):
    context = browser.new_context(
        java_script_enabled=False, viewport={"width": 1200, "height": 900}
    )
    page = context.new_page()
    page.goto((made / "run.report.html").as_uri())
    before, after = both(page)
    assert after["x"] >= before["x"] + before["width"]
    assert not page.locator(".at").first.is_visible()
    page.get_by_label("Blur what was erased").uncheck()
    assert not page.get_by_label("Blur what was erased").is_checked()
    context.close()
