"""Where in a text its answer may stand: each bracketed value, read once, with what its surroundings cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from conduit.mdl.answer.names import Names, squeezed
from conduit.mdl.answer.notation import Bare, Reading, read_notation
from conduit.mdl.answer.repairs import Repair, repair
from conduit.mdl.answer.scanner import NotNotation
from conduit.mdl.answer.signs import QUOTED_NAME

_MOST_CANDIDATES: Final = 2_000
_MOST_RESTARTS: Final = 64  # from within a value that led nowhere
_WORK: Final = 8  # times its length is how much of a text is read in all
_OPENING = re.compile(
    r"[{\[\uff5b\uff3b]|\b[A-Za-z_]\w{0,60}\((?=\s*[A-Za-z_]\w{0,60}\s*=)|^[ \t]{0,20}\((?=\s*[-\d\"'(\[{])",
    re.MULTILINE,
)
_OBJECT_START = re.compile(
    r"""\{\s*(?:["'`\u201c\u2018\u201d\u00ab\uff02},\\]|//|/\*|\#|\{|\[|-?\d"""
    r"""|[^\s"'{}\[\],:]{1,60}[^"'{}\[\],:\n]{0,60}?["']?\s*[:=])"""
)
_FENCE_BEFORE = re.compile(r"(?:```|~~~)[\w+-]*\s*")
_FENCE_AFTER = re.compile(r"\s*(?:```|~~~)?\s*\Z")
_FENCED = re.compile(
    r"\s*(?P<fence>```+|~~~+)[ \t]*[\w+-]*[ \t]*\n(?P<inside>.*?)\n?[ \t]*(?P=fence)?\s*\Z", re.DOTALL
)
_FINAL = re.compile(r"\b(?:final|correct(?:ed|ion)?|revised|instead|updated|actual)\b", re.IGNORECASE)
_DRAFT = re.compile(
    r"\b(?:draft|example|e\.g\.|such as|template|schema|format|first attempt)\b", re.IGNORECASE
)
_EITHER = re.compile(
    r"\b(?:or|alternatively|either|option|versus|vs)\b|(?:^|\n)\s*\d{1,2}[.)]\s*\Z", re.IGNORECASE
)
_LOOK_BACK: Final = 60  # characters in which a word says what comes
_KEY_LINE = re.compile(r"""\s*(?:[-*•]\s+)?[*_`"']*([^\W\d][^:\n"'*`]{0,60}?)[*_`"']*\s*:[*_]*[ \t]*(.*)""")
BULLET = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+(.*)")
_MEMBER_AFTER = re.compile(r"""[\s\]},]{0,40}["']([^"'\n]{1,60})["']\s{0,20}:""")
_QUOTED_MEMBER = re.compile(r"""\s*["']([^"'\n]{1,100})["']\s*:""")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value that was read, and what was repaired around and in it.

    ``rank`` orders candidates of one price: words before it may call it the final one, or a draft; ``either`` says
    that they call it one of several.
    """

    start: int
    reading: Reading
    repairs: tuple[Repair, ...]
    rank: int
    whole: bool
    either: bool = False

    @property
    def cost(self) -> int:
        return sum(done.cost for done in self.repairs)


def unfenced(text: str) -> str | None:
    """What a fence around the whole text holds; ``None`` without one."""
    found = _FENCED.match(text) if text.lstrip().startswith(("```", "~~~")) else None
    return None if found is None else found["inside"].strip()


def candidates(text: str, names: Names) -> Iterator[Candidate]:
    """The bracketed values of a text, in order, none within another that could be read."""
    first = len(text) - len(text.lstrip())
    last = len(text.rstrip())
    at, count, restarts, work = 0, 0, 0, len(text) * _WORK + 10_000
    while count < _MOST_CANDIDATES and restarts < _MOST_RESTARTS and work > 0:
        found = _OPENING.search(text, at)
        if found is None:
            return
        start = found.start()
        if text[start] == "{" and _OBJECT_START.match(text, start) is None:
            at = start + 1
            continue
        try:
            reading = read_notation(text, start, names)
        except NotNotation as error:
            work -= error.at - start
            at, restarts = start + 1, restarts + 1
            continue
        work -= reading.end - start
        count += 1
        if (more := _MEMBER_AFTER.match(text, reading.end)) is not None and names.known(more[1]):
            reading.cut = True  # a bracket too many has ended it early
        before = _FENCE_BEFORE.match(text, first)
        fenced = (
            before is not None and before.end() == start and _FENCE_AFTER.match(text, reading.end) is not None
        )
        bare = start == first and reading.end >= last
        around = () if bare else (repair("fence"),) if fenced else (repair("prose"),)
        words = text[max(at, start - _LOOK_BACK) : start]
        rank = bool(_DRAFT.search(words)) - bool(_FINAL.search(words)) if words else 0
        either = bool(words) and _EITHER.search(words) is not None
        yield Candidate(start, reading, (*around, *reading.repairs), rank, bare or fenced, either)
        if reading.cut and _is_answer(reading.value, names):
            return  # what stands within would be a part of it
        if reading.open_ended:
            at, restarts = start + 1, restarts + 1
        else:
            at = reading.end


def _is_answer(value: object, names: Names) -> bool:
    """Whether a value that was cut is what the text is about, and not a bracket in its prose."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict | list)
    return isinstance(value, dict) and any(names.possible(key) for key in value)


def unbraced(text: str, names: Names) -> Candidate | None:
    """A record without braces: ``"a": 1, "b": 2}``, or a line ``key: value`` for each field."""
    if not starts_unbraced(text, names):
        return key_lines(text, names, names.known)
    try:
        reading = read_notation(text, 0, names, opened=True)
    except NotNotation:
        return None
    if text[reading.end :].strip(" \n`~"):
        return None
    return Candidate(0, reading, (repair("prose"), *reading.repairs), 0, whole=False)


def starts_unbraced(text: str, names: Names) -> bool:
    """Whether a text begins with the first key of a record whose brace is missing."""
    quoted = _QUOTED_MEMBER.match(text)
    return quoted is not None and names.known(quoted[1])


def key_lines(text: str, names: Names, is_key: Callable[[str], bool]) -> Candidate | None:
    """An object as lines ``key: value``; the items of a list are bullets under their key."""
    found: dict[str, Any] = {}
    bullets: list[Any] | None = None
    for line in text.splitlines():
        if not line.strip():
            continue
        pair = _KEY_LINE.fullmatch(line)
        if pair is not None and is_key(pair[1]):
            if squeezed(pair[1]) in map(squeezed, found):
                return None
            if any(names.known(name[1]) for name in QUOTED_NAME.finditer(pair[2])):
                return None  # one line holds several fields
            bullets = None if pair[2].strip() else []
            found[pair[1]] = _line_value(pair[2].strip(), names) if bullets is None else bullets
        elif bullets is not None and (bullet := BULLET.fullmatch(line)) is not None:
            bullets.append(_line_value(bullet[1].strip(), names))
        elif found:
            return None  # prose after the record, or a value of several lines
    if not found:
        return None
    return Candidate(0, Reading(found, len(text)), (repair("key-lines"),), 0, whole=False)


def _line_value(text: str, names: Names) -> Any:
    if text.startswith(("{", "[", '"', "'")):
        try:
            reading = read_notation(text, 0, names)
        except NotNotation:
            return Bare(text)
        if reading.end >= len(text) and not reading.cut:
            return reading.value
    return Bare(text)
