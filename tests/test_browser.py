"""The built book as a reader's browser shows it: both themes, a phone, no network, no mouse.

Needs chromium (Debian: apt-get install chromium; CHROMIUM names another browser); skips without one.
"""

import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import book_pdf
import pytest
from book_pdf import browser_program, whole
from playwright.sync_api import Browser, Page, sync_playwright

PHONE, SCREEN = 390, 1280
SHEET = 680  # A4 between its margins
AXE = Path(find_spec("axe_playwright_python").origin).with_name("axe.min.js")
#: What axe calls these is a finding; the lesser ones are advice.
SEVERE = ("serious", "critical")
#: Words a reader may look for, and a page on which each must be found.
SEARCHED = {"Jacobian": "keypoints", "spline": "equivariance", "transformer": "features", "warp": "motion",
            "Annyville": "data", "triplet": "objective", "occlusion": "difficulty", "guards": "training",
            "seed": "table1", "PCB": "table3"}

#: Colours on their way from one theme to the other are no reader's.
STILL = "*, ::before, ::after { transition: none !important; animation: none !important }"
READY = "() => (window.MathJax && MathJax.startup ? MathJax.startup.promise : Promise.resolve()).then(() => 0)"
#: What sticks out of the screen to the right and stands in no box that scrolls.
WIDE = """() => [...document.querySelectorAll("article *, footer *")].filter(element => {
    const box = element.getBoundingClientRect();
    if (!box.width || box.right <= innerWidth + 1) return false;
    for (let e = element; e; e = e.parentElement)
        if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)
                && e.getBoundingClientRect().right <= innerWidth + 1) return false;
    return !element.closest("mjx-assistive-mml, .visually-hidden, .sr-only");
}).map(element => element.outerHTML.slice(0, 150))"""
CUT = """() => [...document.querySelectorAll("mjx-container")].map(e => [e.getBoundingClientRect().left, e.textContent])
    .filter(([left, text]) => left < 0).map(([left, text]) => `${left} ${text.slice(0, 80)}`)"""
AXE_RUN = """() => axe.run(document, {resultTypes: ["violations"], preload: false}).then(found => found.violations.map(
    rule => [rule.impact, rule.id, rule.nodes.length, rule.nodes[0].html.slice(0, 200)]))"""
CONTROLS = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")].filter(
    e => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({visibilityProperty: true, opacityProperty: true}))"""
REACHED = "() => document.activeElement === document.body ? null : document.activeElement.dataset.control"


SCROLLS = """() => [...document.querySelectorAll("article :is(pre, .text_html, .pst-scrollable-table-container)")]
    .filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 200))"""


@dataclass
class Visit:
    """What a page did and had when it was opened."""

    name: str
    theme: str
    width: int
    requests: list[str]
    messages: list[str]
    wide: list[str]
    cut: list[str]
    findings: list[list]
    paper: list[str]

    def __str__(self) -> str:
        return f"{self.name}, {self.theme}, {self.width} px"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = browser_program()
    if not program:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shown(html: Path) -> list[Path]:
    """Every page of the book, and the first and the largest of the records, which are all made alike."""
    records = sorted((html / "records").glob("*.html"))
    pages = sorted(path for path in html.glob("*.html") if path.name != "index.html")
    return [*pages, records[0], max(records, key=lambda path: path.stat().st_size)]


@pytest.fixture(scope="module")
def visits(browser: Browser, shown: list[Path]) -> list[Visit]:
    return [visit(browser, path, theme, width) for path in shown
            for theme, width in (("light", SCREEN), ("dark", SCREEN), ("light", PHONE))]


def visit(browser: Browser, path: Path, theme: str, width: int) -> Visit:
    page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900})
    seen = Visit(path.name, theme, width, [], [], [], [], [], [])
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda message: seen.messages.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.messages.append(f"error: {error}"))
    open_page(page, path)
    seen.wide, seen.cut = page.evaluate(WIDE), page.evaluate(CUT)
    if width == SCREEN:
        page.add_script_tag(path=AXE)
        seen.findings = page.evaluate(AXE_RUN)
    else:
        page.emulate_media(media="print")
        page.set_viewport_size({"width": SHEET, "height": 900})
        seen.paper = [*page.evaluate(WIDE), *page.evaluate(SCROLLS)]
    page.close()
    return seen


def open_page(page: Page, path: Path, query: str = "") -> None:
    page.goto(path.as_uri() + query)
    page.add_style_tag(content=STILL)
    page.evaluate(READY)


def test_no_page_asks_another_host(visits: list[Visit]) -> None:
    for seen in visits:
        assert not [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))], seen


def test_no_page_complains_in_the_console(visits: list[Visit]) -> None:
    for seen in visits:
        assert not [text for text in seen.messages if text.startswith(("error", "warning"))], f"{seen}: {seen.messages}"


def test_axe_has_no_serious_finding_in_either_theme(visits: list[Visit]) -> None:
    found = [f"{seen}: {rule}" for seen in visits for rule in seen.findings if rule[0] in SEVERE]
    assert not found, "\n".join(found)


def test_on_a_phone_nothing_is_wider_than_the_screen_and_no_equation_is_cut(visits: list[Visit]) -> None:
    found = [f"{seen.name}: {what}" for seen in visits if seen.width == PHONE for what in (*seen.wide[:3], *seen.cut)]
    assert not found, "\n".join(found)


def test_on_paper_no_code_table_or_equation_is_cut(visits: list[Visit]) -> None:
    found = [f"{seen.name}: {what}" for seen in visits for what in seen.paper[:3]]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("word", SEARCHED)
def test_search_finds_a_word_on_the_page_that_explains_it(browser: Browser, html: Path, word: str) -> None:
    page = browser.new_page()
    open_page(page, html / "search.html", f"?q={word}")
    page.wait_for_selector("#search-results li a")
    page.wait_for_function("() => /found/.test(document.querySelector('#search-results .search-summary')?.textContent)")
    found = page.eval_on_selector_all("#search-results li a", "links => links.map(link => link.getAttribute('href'))")
    page.close()
    assert any(link.startswith(f"{SEARCHED[word]}.html") for link in found), found


@pytest.mark.parametrize("name", ["intro", "parts", "table1", "records"])
def test_the_keyboard_reaches_every_control(browser: Browser, html: Path, name: str) -> None:
    page = browser.new_page(viewport={"width": SCREEN, "height": 900})
    open_page(page, html / f"{name}.html")
    count = page.evaluate(f"() => ({CONTROLS})().map((e, i) => e.dataset.control = i).length")
    reached = set()
    for _ in range(2 * count):  # the browser stops at what scrolls, too
        page.keyboard.press("Tab")
        reached.add(page.evaluate(REACHED))
    missed = set(map(str, range(count))) - reached
    words = [page.eval_on_selector(f"[data-control='{i}']", "e => e.outerHTML.slice(0, 150)") for i in sorted(missed)]
    page.close()
    assert count > 20 and not words, "\n".join(words)


@pytest.mark.parametrize(("name", "link", "said"), [
    ("parts", "a[href='objective.html#eq-9']", "(9)"), ("parts", "a[href='#fig-parts-maps']", "Figure"),
    ("intro", "a[href^='references.html#']", "Motion-aware transformer"),
    ("model", "a.reference[href='#equation-flow']", "")])
@pytest.mark.parametrize("reach", ["hover", "focus"])
def test_what_stands_behind_a_link_is_shown_to_mouse_and_keyboard(browser, html, name, link, said, reach) -> None:
    page = browser.new_page(viewport={"width": SCREEN, "height": 900})
    open_page(page, html / f"{name}.html")
    place = page.locator(f"article {link}").first
    if reach == "focus":
        page.keyboard.press("Tab")  # the browser shows focus to those who came by keyboard
    getattr(place, reach)()
    preview = page.locator("#preview[role=tooltip]")
    preview.wait_for(timeout=5000)
    page.wait_for_function("() => !/\\\\\\[/.test(document.querySelector('#preview').textContent)")  # typeset
    assert place.get_attribute("aria-describedby") == "preview"
    assert said in preview.inner_text() and (said or preview.locator("mjx-container").count())
    box = preview.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= SCREEN and box["height"] > 15
    page.keyboard.press("Escape")
    assert not preview.is_visible() and not place.get_attribute("aria-describedby")
    page.close()


@pytest.mark.parametrize("word", ["captions", "display"])
def test_search_shows_no_folded_code(browser: Browser, html: Path, word: str) -> None:
    handler = partial(QuietHandler, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:  # of files, search shows titles alone
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/search.html?q={word}")
        page.wait_for_selector("#search-results li p.context")
        page.wait_for_load_state("networkidle")
        excerpts = page.locator("#search-results p.context").all_inner_texts()
        page.close()
        server.shutdown()
    assert excerpts and not [text for text in excerpts if "captions." in text or "display(" in text]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_the_whole_book_is_one_pdf_with_an_outline(browser: Browser, html: Path, tmp_path: Path) -> None:
    # in a process of its own: this one's browser has the loop that another would want
    subprocess.run([sys.executable, book_pdf.__file__, html, tmp_path / "book.pdf"], check=True)
    content = (tmp_path / "book.pdf").read_bytes()
    assert content.startswith(b"%PDF") and b"/Outlines" in content and b"file:" not in content
    assert len(re.findall(rb"/Type ?/Page\b", content)) > 100
    assert not (html / "whole.html").exists()
