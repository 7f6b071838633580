"""WCAG 2.2 AA by axe-core: every public page in every language, light and dark, on a phone of 320 pixels and a desk.

Pages are those of `walk.STEPS`; a public route that none of them shows fails a test of its own.
"""

from collections.abc import Iterator
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response

from service.domain.words import Language
from service.web.public.routes import router
from tests.browser.reader import Person
from tests.browser.walk import NO_PAGES, STEPS, Step
from tests.house import House

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WIDTHS = (320, 1280)
SCHEMES = ("light", "dark")
RUN = """([tags, width]) => axe.run(document, {runOnly: {type: "tag", values: tags}}).then(found => ({
    passed: found.passes.map(rule => rule.id),
    // What axe cannot decide by itself: a background that it could not find out about, say.
    unsure: found.incomplete.map(rule => [rule.id, rule.nodes.map(node => node.target.join(" "))]),
    violations: found.violations.map(rule => [rule.id, rule.nodes.map(node => node.failureSummary + node.html)]),
    sideways: document.documentElement.scrollWidth > width ? [document.documentElement.scrollWidth] : [],
}))"""


def public_routes() -> set[str]:
    def walked(routes: list[Any]) -> Iterator[str]:
        for route in routes:
            if methods := getattr(route, "methods", None):
                yield from (f"{method} {route.path}" for method in methods if method != "HEAD")
            else:
                yield from walked(getattr(route, "original_router", route).routes)

    return set(walked(router.routes))


def test_every_public_route_is_on_a_step_of_the_walk() -> None:
    walked = {route for step in STEPS for route in step.routes}
    assert walked | set(NO_PAGES) == public_routes(), "add a Step to tests/browser/walk.py"
    assert len({step.name for step in STEPS}) == len(STEPS)


def test_axe_knows_what_it_is_asked_for_and_finds_it(browser: Browser) -> None:
    """The rules are there, and one of each kind that matters here finds what is wrong."""
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content(
            "<html><title>x</title><body><main><h1>x</h1><p style='color:#999'>pale</p><input>"
            "<button style='width:9px;height:9px;padding:0' aria-label='a'></button>"
            "<button style='width:9px;height:9px;padding:0' aria-label='b'></button></main></body></html>"
        )
        page.evaluate(AXE)
        found = {rule for rule, _ in page.evaluate(RUN, [TAGS, 1280])["violations"]}
    assert {"color-contrast", "html-has-lang", "label", "target-size"} <= found


@pytest.fixture
def person(house: House, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Person]:
    language: Language = request.param
    with browser.new_context(locale=language.value) as context:
        page = context.new_page()
        yield Person(house, page, language, f"walker-{language}@readers.example")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("person", Language, indirect=True, ids=str)
def test_every_page_in_every_light_and_width(person: Person) -> None:
    complaints: list[str] = []
    answers: list[Response] = []
    person.page.on("response", lambda answer: answers.append(answer) if _is_page(answer, person.page) else None)
    person.page.on(
        "console", lambda said: complaints.append(f"console: {said.text}") if _is_fault(said.type, said.text) else None
    )
    for step in STEPS:
        answers.clear()
        step.go(person)
        complaints += _what_is_wrong(person, step, answers[-1])
    assert not complaints, "\n".join(complaints)


def _is_page(answer: Response, page: Page) -> bool:
    return answer.request.is_navigation_request() and answer.frame == page.main_frame


def _is_fault(kind: str, text: str) -> bool:
    """Chromium calls every page with a status from 400 on an error; those are asked for here."""
    return kind == "error" and "the server responded with a status of" not in text


def _what_is_wrong(person: Person, step: Step, answer: Response) -> Iterator[str]:
    page = person.page
    at = f"{step.name} ({person.language}, {urlsplit(page.url).path.split('/')[1]})"
    if answer.status != step.status:
        yield f"{at}: answered {answer.status} instead of {step.status}"
    if page.locator("html").get_attribute("lang") != person.language:
        yield f"{at}: is not in the reader's language"
    if page.locator("h1").count() != 1:
        yield f"{at}: has {page.locator('h1').count()} main headings"
    page.evaluate(AXE)
    for scheme in SCHEMES:
        for width in WIDTHS:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            found = page.evaluate(RUN, [TAGS, width])
            assert "html-has-lang" in found["passed"], f"{at}: no page of ours: {page.content()[:300]}"
            for kind in ("violations", "unsure", "sideways"):
                yield from (f"{at}, {scheme}, {width} px, {kind}: {entry}" for entry in found[kind])
