"""The site builds without a warning, asks nothing of other hosts, and its reference has every public name."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = ("conduit", "conduit.blocks", "conduit.testing", "conduit.mdl", "conduit.errors")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a link or an anchor that leads nowhere is an error. (With --quiet it would not be.)"""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def anchors(page: Path) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', page.read_text()))


@pytest.mark.timeout(120)
def test_every_page_is_in_the_site_and_loads_nothing_from_elsewhere(site: Path) -> None:
    for source in DOCS.rglob("*.md"):
        page = site / source.relative_to(DOCS).with_suffix(".html")
        loaded = re.findall(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?([^\"\s>]+)", page.read_text())
        loaded += re.findall(r"<link\b[^>]*\bhref=\"?([^\"\s>]+)", page.read_text())
        assert loaded
        assert [address for address in loaded if re.match(r"(https?:)?//", address)] == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", REFERENCE)
def test_the_reference_has_every_public_name(site: Path, name: str) -> None:
    module = importlib.import_module(name)
    public = getattr(module, "__all__", None) or [
        key
        for key, value in vars(module).items()
        if getattr(value, "__module__", None) == name and key[0] != "_"
    ]
    page = (site / "reference" / f"{name.rpartition('.')[2]}.html").read_text()
    shown = {each.rpartition(".")[2] for each in re.findall(r'<h2 id="([\w.]+)" class="doc', page)}
    # A value with no docstring of its own; MDL's page tells of it.
    assert set(public) - shown - {"VERSION"} == set()


@pytest.mark.timeout(120)
def test_links_of_the_readme_lead_somewhere(site: Path) -> None:
    found = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", (ROOT / "README.md").read_text())
    assert len(found) > 10
    for path, anchor in found:
        assert (ROOT / path).exists(), path
        if anchor:
            page = site / Path(path).relative_to("docs").with_suffix(".html")
            assert anchor in anchors(page), f"{path}#{anchor}"


@pytest.mark.parametrize("page", ["commands", "settings"])
def test_written_pages_are_what_the_program_says(page: str) -> None:
    written = runpy.run_path(str(DOCS / "reference" / "_write.py"))[page]()
    assert (DOCS / "reference" / f"{page}.md").read_text() == written, "`make reference` writes it anew"
