"""The documentation in a browser: it asks no other host, its search finds, a shell's block copies as commands."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page

from support.browser import ARTIFACTS, CHROMIUM, open_page

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.timeout(150),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found: apt-get install chromium"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the built site is served."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def page(site: str) -> Iterator[Page]:
    """A page that fails the test for a request to elsewhere and for an error of a script."""
    wrong: list[str] = []
    with open_page() as page:
        page.on(
            "request", lambda r: None if r.url.startswith((site, "data:", "blob:")) else wrong.append(r.url)
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        yield page
    assert wrong == []


def test_a_shells_block_is_copied_as_its_commands(site: str, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site}/tutorial.html")
    block = page.locator(".highlight", has_text="1 file, 1 flow: nothing found")
    block.hover()
    block.get_by_role("button").click()
    page.get_by_text("Copied to clipboard").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert [line[:22] for line in copied.splitlines() if line] == [
        "conduit check tickets.",
        'python -c "from ticket',
    ]


def test_the_search_finds_a_section(site: str, page: Page) -> None:
    page.goto(f"{site}/index.html")
    page.get_by_placeholder("Search").fill("ledger retry_failed")
    page.locator(".md-search-result__link", has_text="Ledgers").first.click()
    page.wait_for_url("**/maps.html*ledgers")


@pytest.mark.parametrize(
    "name", ["index", "tutorial", "errors", "reference/conduit", "reference/settings", "mdl"]
)
def test_no_page_is_wider_than_the_window(site: str, page: Page, name: str) -> None:
    page.goto(f"{site}/{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("[...document.querySelectorAll('.md-typeset h1')].length") == 1
    if name == "tutorial":
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / "tutorial.png")
