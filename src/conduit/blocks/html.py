"""The block that makes plain text of a page of HTML: what a reader would see, in the order of the page.

Scripts, styles and what is hidden are left out; headings, paragraphs, list items and the rows of tables stand on
lines of their own. It judges no content: menus and footers are text as well, unless ``select`` leaves them out.
"""

from __future__ import annotations

import re
from typing import Any

from conduit.dataflow import block
from conduit.errors import BlockInputError
from conduit.optional import require

MAX_CHARACTERS = 64 * 1024 * 1024
_UNSEEN = frozenset(
    "head script style noscript template svg math iframe object canvas audio video select datalist".split()
)
_LINES = frozenset(
    "address article aside blockquote body dd details dialog div dl dt fieldset figcaption figure footer form "
    "header hgroup hr legend li main menu nav ol option pre search section summary table tbody "
    "tfoot thead tr ul".split()
)
_PARAGRAPHS = frozenset("p h1 h2 h3 h4 h5 h6 blockquote pre table ul ol dl figure".split())
_SPACE = re.compile(r"[ \t\n\r\f\u200b]+")


@block
def html_to_text(html: str, *, select: str | None = None, links: bool = False) -> str:
    """The text of a page.

    Args:
        html: A page or a part of one; what is not closed or nested wrongly is read as a browser does.
        select: A CSS selector, such as ``main, article``: only what it names is taken, each once.
        links: Write the address after the text of a link, as in ``the manual (https://example.org/manual)``.

    Raises:
        MissingDependency: The extra ``html`` is not installed.
        BlockInputError: ``select`` is no selector, or the page is too large.
    """
    lexbor = require("selectolax.lexbor", extra="html", user="html_to_text")
    if len(html) > MAX_CHARACTERS:
        raise BlockInputError(
            f"The page has {len(html)} characters; the limit is {MAX_CHARACTERS}",
            hint="Cut it.",
            block="html_to_text",
            parameter="html",
        )
    # A NUL ends the parser's text, and no page shows one.
    tree = lexbor.LexborHTMLParser(html.replace("\0", "\ufffd").encode("utf-8", "replace"))
    roots = [tree.root] if select is None else _selected(lexbor, tree, select)
    text = _Text(links=links)
    for root in roots:
        text.paragraph()
        text.add(root)
    return text.whole()


def _selected(lexbor: Any, tree: Any, select: str) -> list[Any]:
    """The nodes that a selector names, but for those within others of them."""
    try:
        wanted = {node.mem_id for node in tree.css(select)}
    except (lexbor.SelectolaxError, ValueError) as error:
        raise BlockInputError(
            f"{select!r} is no CSS selector: {error}", block="html_to_text", parameter="select"
        ) from error
    found, work = [], [tree.root]
    while work:
        node = work.pop()
        if node.mem_id in wanted:
            found.append(node)
        else:
            work.extend(reversed(list(node.iter())))
    return found


class _Text:
    """Text as it is put together."""

    def __init__(self, *, links: bool) -> None:
        self._links = links
        self._parts: list[str] = []

    def add(self, root: Any) -> None:
        """A node with all that is in it. Without recursion: pages nest deeper than Python calls."""
        work: list[tuple[Any, bool]] = [(root, False)]
        while work:
            node, as_it_is = work.pop()
            if isinstance(node, str):
                self._put(node)
                continue
            tag = node.tag or ""
            if tag == "-text":
                self._put_text(node.text_content or "", as_it_is)
            elif not (tag in _UNSEEN or tag.startswith(("-", "!")) or "hidden" in node.attributes):
                before, after = self._around(node, tag)
                if tag == "br":
                    self._parts.append("\n")
                self._put(before)
                work.append((after, False))
                within = as_it_is or tag in ("pre", "textarea")
                work.extend((child, within) for child in reversed(list(node.iter(include_text=True))))

    def paragraph(self) -> None:
        """What comes is apart from what came."""
        self._put("\n\n")

    def whole(self) -> str:
        """All of it, without white space that shows nothing."""
        lines = [line.rstrip(" \t") for line in "".join(self._parts).replace("\xa0", " ").split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")

    def _put(self, text: str) -> None:
        if (
            text.startswith("\n")
            and not text.startswith("\n\n")
            and self._parts
            and self._parts[-1][-1] == "\n"
        ):
            text = text[1:]  # the line is a new one already
        if text:
            self._parts.append(text)

    def _put_text(self, raw: str, as_it_is: bool) -> None:
        if not as_it_is:
            raw = _SPACE.sub(" ", raw)
            if not self._parts or self._parts[-1][-1] in " \t\n":
                raw = raw.removeprefix(" ")
        self._put(raw)

    def _around(self, node: Any, tag: str) -> tuple[str, str]:
        if tag in _PARAGRAPHS:
            return "\n\n", "\n\n"
        if tag == "li":
            return "\n- ", "\n"
        if tag in _LINES:
            return "\n", "\n"
        if tag in ("td", "th"):
            return "", "\t"
        if tag == "img":
            return node.attributes.get("alt") or "", ""
        address = node.attributes.get("href") if tag == "a" and self._links else None
        return "", f" ({address})" if address and not address.startswith(("#", "javascript:")) else ""
