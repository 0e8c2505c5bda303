"""The page in a real browser, over scripted models in a process of their own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROBLEM = "Natalia sold 48 clips in April and half as many in May. How many in all?"
LOCAL = ("http://127.0.0.1:", "data:")
PATIENCE = 30_000
"""Milliseconds."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = os.environ.get("RSD_TEST_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("needs Chromium (`apt-get install chromium`), or its path in RSD_TEST_BROWSER")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = tmp_path_factory.mktemp("ui") / "runs.sqlite"
    command = [sys.executable, "-m", "tests.ui.served", str(database), "0"]
    environment = {**os.environ, "NICEGUI_STORAGE_PATH": str(database.parent)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout
    port = server.stdout.readline().split()[-1]
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    assert server.wait(timeout=30) == 0
    server.stdout.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window in which nothing may go wrong, and nothing comes from elsewhere."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    window = context.new_page()
    window.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    wrong: list[str] = []
    window.on("pageerror", lambda error: wrong.append(str(error)))
    window.on("request", lambda asked: None if asked.url.startswith(LOCAL) else wrong.append(asked.url))
    yield window
    context.close()
    assert wrong == []


def solve(page: Page, address: str, problem: str, **settings: str) -> None:
    page.goto(address)
    page.get_by_label("Problem").fill(problem)
    for name, value in settings.items():
        page.get_by_label(name, exact=True).click()
        page.get_by_role("option", name=value).click()
    page.get_by_label("Problem").press("Control+Enter")
    page.wait_for_url("**/run/*")


def steps(page: Page) -> Any:
    return page.locator("article.step:not(.growing)")


def test_a_run_is_shown_step_by_step(page: Page, address: str) -> None:
    """Cards by author, the rejected draft folded, mathematics, the answer, tokens; another tab sees the same."""
    solve(page, address, PROBLEM)
    expect(page.locator(".answer")).to_have_text("72")
    expect(steps(page)).to_have_count(3)
    assert [steps(page).nth(index).get_attribute("aria-label") for index in range(3)] == [
        "Step 1, by the target",
        "Step 2, by the draft",
        "Step 3, by the draft",
    ]
    expect(page.locator(".step mfrac")).to_have_count(1)
    folded = page.get_by_text("Half of April's clips")
    expect(folded).to_be_hidden()
    page.get_by_text("The draft's step").click()
    expect(folded).to_be_visible()
    expect(page.locator(".outcome")).to_contain_text("36 draft tokens, 12 target tokens")
    expect(page.locator(".outcome")).to_contain_text("times the FLOPs of the target alone")
    other = page.context.new_page()
    other.goto(page.url)
    expect(steps(other)).to_have_count(3)
    other.close()


def test_a_review_is_answered_on_the_page(page: Page, address: str) -> None:
    """Both steps side by side; the draft's is taken. In a tab that was open too, the question goes away."""
    solve(page, address, PROBLEM, review="rejected")
    expect(page.locator(".machine .review.active")).to_be_visible()
    question = page.locator(".review").last
    expect(question).to_contain_text("Step 1 waits for you")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_role("button", name="Accept")).to_be_visible()
    page.get_by_role("button", name="Take the draft's").click()
    expect(page.locator(".answer")).to_have_text("72")
    expect(page.get_by_label("Problem")).to_have_value(PROBLEM)
    expect(page.get_by_label("review", exact=True)).to_have_value("rejected")
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)
    expect(other.get_by_role("button", name="Accept")).to_have_count(0)
    assert steps(page).first.get_attribute("aria-label") == "Step 1, by the draft"
    other.close()


def test_a_step_is_edited_on_the_page(page: Page, address: str) -> None:
    solve(page, address, PROBLEM, review="rejected")
    page.get_by_label("Your text").fill("In May it was 24.")
    page.get_by_role("button", name="Keep my text").click()
    expect(steps(page).first).to_contain_text("edited")
    expect(steps(page).first).to_contain_text("In May it was 24.")


def test_a_run_is_forked_and_compared(page: Page, address: str) -> None:
    """From step 2 on, with a threshold that its draft does not reach; step 1 is shared."""
    solve(page, address, PROBLEM)
    expect(page.locator(".answer")).to_be_visible()
    first = page.url
    page.get_by_label("From step").fill("2")
    page.get_by_label("Threshold", exact=True).last.fill("0.95")
    page.get_by_role("button", name="Fork").click()
    page.wait_for_url(lambda url: url != first)
    expect(steps(page).nth(2)).to_be_visible()
    assert [steps(page).nth(index).get_attribute("aria-label") for index in range(3)] == [
        "Step 1, by the target",
        "Step 2, by the target",
        "Step 3, by the target",
    ]
    for box in page.locator(".run .q-checkbox").all()[:2]:
        box.click()
    page.get_by_role("button", name="Compare two").click()
    expect(page.get_by_text("threshold 0.95")).to_be_visible()
    expect(page.get_by_text("threshold 0.7", exact=True)).to_be_visible()


def test_what_a_model_writes_stays_text(page: Page, address: str) -> None:
    solve(page, address, "hostile")
    expect(steps(page).first).to_contain_text("<script>document.title = 'owned'</script>")
    assert page.title() == "rsd: a run"
    assert page.locator(".step script, .step img, .step a").count() == 0


def test_a_server_that_is_gone_leaves_a_run_that_resumes(page: Page, address: str) -> None:
    solve(page, address, "gone")
    expect(page.locator(".error")).to_contain_text("is the server running?")
    expect(page.locator(".run", has_text="gone").first).to_contain_text("failed")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".error")).to_contain_text("is the server running?")


def test_a_run_lights_up_and_is_stopped(page: Page, address: str) -> None:
    solve(page, address, "slow")
    expect(page.locator(".machine .draft.active")).to_be_visible()
    expect(page.locator(".growing")).to_contain_text("the draft writes")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".outcome")).to_contain_text("interrupted")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_a_long_run_and_a_long_step_stay_usable(page: Page, address: str) -> None:
    solve(page, address, "many")
    expect(page.locator(".outcome")).to_contain_text("500 of 500 steps", timeout=2 * PATIENCE)
    expect(steps(page)).to_have_count(500)
    solve(page, address, "long")
    expect(steps(page)).to_have_count(1)
    assert len(steps(page).first.inner_text()) > 49_000


def test_the_page_fits_a_phone(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    solve(page, address, PROBLEM)
    expect(page.locator(".answer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_mistakes_are_told(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(address)
    page.get_by_role("button", name="Solve").click()
    expect(page.get_by_text("Write a problem first.")).to_be_visible()
    page.goto(f"{address}/run/gone")
    expect(page.get_by_text("There is no such run")).to_be_visible()
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{")
    page.locator("input[type=file]").set_input_files(broken)
    expect(page.get_by_text(re.compile("broken.jsonl, line 1"))).to_be_visible()
