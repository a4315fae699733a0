"""The documentation builds without a warning, and its pages load nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the extra docs is not installed")
pytest.importorskip("material", reason="the extra docs is not installed")

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
LINKS_THAT_LOAD = {
    "stylesheet",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "icon",
    "manifest",
}


class Loads(HTMLParser):
    """Collects the addresses that a browser fetches for a page; links to follow are none."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and LINKS_THAT_LOAD & set((given.get("rel") or "").lower().split()):
            self.addresses.append(given.get("href") or "")
        elif tag != "a":
            self.addresses += [value for name in ("src", "srcset", "data", "poster") if (value := given.get(name))]
        self.addresses += re.findall(r"url\(['\"]?([^'\")]+)", given.get("style") or "")


def loads(page: str) -> list[str]:
    parser = Loads()
    parser.feed(page)
    return [address for address in parser.addresses if ELSEWHERE.match(address)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_loading_is_told_from_linking() -> None:
    assert loads('<a href="https://x.org">x</a><img src="a.png"><link rel="canonical" href="https://x.org">') == []
    assert loads('<script src="//x.org/a.js"></script>') == ["//x.org/a.js"]
    assert loads('<link rel="preconnect" href="https://f.org"><img src="HTTP://x.org/a.png">') == [
        "https://f.org",
        "HTTP://x.org/a.png",
    ]


def test_no_page_loads_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    found = {page.name: there for page in pages if (there := loads(page.read_text("utf-8")))}
    assert not found
    for sheet in site.rglob("*.css"):
        imported = re.findall(r"(?:@import\s+|url\()['\"]?([^'\")\s]+)", sheet.read_text("utf-8"))
        assert not [address for address in imported if ELSEWHERE.match(address)], sheet.name


def test_no_page_wakes_what_the_theme_fetches_itself(site: Path) -> None:
    # the theme's script fetches mermaid for diagrams, and stars and releases for a repository link
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert 'class="mermaid"' not in text, page.name
        assert 'data-md-component="source"' not in text, page.name
