"""Patterns of schemas as an engine takes them: anchored at both ends, and never matching less.

A pattern in JSON Schema is searched for; a grammar describes the whole string. What the engine cannot express is
widened, so that the mask lets through all that the pattern matches, and validation sorts out the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from conduit.mdl.lowering.dialects import Dialect
from conduit.mdl.lowering.regex import (
    ANY,
    Atom,
    BadPattern,
    End,
    Group,
    Node,
    Repeat,
    Start,
    Unreadable,
    read_pattern,
)

__all__ = ["BadPattern", "Pattern", "Unreadable", "translate"]

# Counted repeats are unrolled by some engines, and lengths multiply with them in all.
_MOST_PLACES = 10_000
_MOST_REPEATS = 200
_MOST_PLACES_TIMES_LENGTH = 2_000


@dataclass(frozen=True)
class Pattern:
    """A pattern in an engine's dialect.

    Attributes:
        text: Anchored at both ends.
        exact: It matches just what the schema's pattern does.
        plain: All that it matches stands in JSON as it is, without escapes.
        takes_lengths: An engine can check lengths beside it at little cost.
        sized: The lengths that were asked for are in the text.
    """

    text: str
    exact: bool
    plain: bool
    takes_lengths: bool
    sized: bool


def translate(
    pattern: str, dialect: Dialect, least_length: int | None = None, most_length: int | None = None
) -> Pattern:
    """Writes a pattern for an engine, together with limits on the string's length where both fit in one text.

    Raises:
        BadPattern: It is no regular expression.
        Unreadable: No grammar should be made from it; validation alone can tell.
    """
    root, exact = read_pattern(pattern, dialect)
    places, repeats, counted, unbounded = _size(root)
    if places > _MOST_PLACES:
        raise Unreadable(f"written out it has {places} places")
    if repeats > _MOST_REPEATS:
        raise Unreadable(f"it has {repeats} quantifiers")
    root, sized = _with_lengths(root, least_length, most_length)
    writer = _Writer(exact=exact)
    text = writer.whole(root)
    longest = max(least_length or 0, most_length or 0)
    return Pattern(
        text=f"^{text}$",
        exact=writer.exact,
        plain=writer.plain,
        takes_lengths=not (counted and unbounded) and places * longest <= _MOST_PLACES_TIMES_LENGTH,
        sized=sized,
    )


def _size(root: Group) -> tuple[int, int, bool, bool]:
    """How many places a pattern has when it is written out, how many quantifiers, of a count, and of no end."""
    repeats = 0
    counted = unbounded = False

    def of(node: Node) -> int:
        nonlocal repeats, counted, unbounded
        if isinstance(node, Group):
            return sum(of(part) for option in node.options for part in option)
        if isinstance(node, Repeat):
            repeats += 1
            unbounded = unbounded or node.most is None
            times = max(node.least, node.most or 0, 1)
            counted = counted or times > 1
            return of(node.node) * times
        return int(isinstance(node, Atom))

    return of(root), repeats, counted, unbounded


def _with_lengths(root: Group, least: int | None, most: int | None) -> tuple[Group, bool]:
    """Puts lengths into a pattern that is one repeated class, such as ``^[a-z]*$``."""
    match root.options:
        case ((Start(), Atom() | Repeat(node=Atom()) as node, End()),) if (
            least is not None or most is not None
        ):
            repeat = node if isinstance(node, Repeat) else Repeat(node, 1, 1)
            low = max(repeat.least, least or 0)
            high = most if repeat.most is None else repeat.most if most is None else min(repeat.most, most)
            if high is None or low <= high:
                sized = Repeat(repeat.node, low, high)
                return Group(((Start(), sized, End()),), root.head), True
    return root, False


class _Writer:
    """Writes a tree so that it describes the whole string."""

    def __init__(self, *, exact: bool) -> None:
        self.exact = exact
        self.plain = True

    def whole(self, root: Group) -> str:
        if len(root.options) == 1 and root.head == "(?:":
            return self._sequence(root.options[0], left=True, right=True)
        return self._group(root, left=True, right=True)

    def _group(self, group: Group, *, left: bool, right: bool) -> str:
        options = (self._sequence(option, left=left, right=right) for option in group.options)
        return f"{group.head}{'|'.join(options)})"

    def _sequence(self, nodes: tuple[Node, ...], *, left: bool, right: bool) -> str:
        """``left``, ``right``: the string may go on beyond this end, where no anchor stands."""
        first, last = 0, len(nodes)
        anchored_left = anchored_right = False
        while first < last and isinstance(nodes[first], Start):
            first, anchored_left = first + 1, True
        while first < last and isinstance(nodes[last - 1], End):
            last, anchored_right = last - 1, True
        inner = nodes[first:last]
        left, right = left and not anchored_left, right and not anchored_right
        # An anchor at an inner group's edge is that group's business: `(^|,)a`.
        into_first = left and bool(inner) and isinstance(inner[0], Group)
        into_last = right and bool(inner) and isinstance(inner[-1], Group)
        text = [self._rest()] if left and not into_first else []
        for i, node in enumerate(inner):
            goes_left = into_first and i == 0
            goes_right = into_last and i == len(inner) - 1
            text.append(self._node(node, left=goes_left, right=goes_right))
        if right and not into_last and (inner or anchored_left or not left):
            text.append(self._rest())
        return "".join(text)

    def _rest(self) -> str:
        self.plain = False
        return f"{ANY}*"

    def _node(self, node: Node, *, left: bool, right: bool) -> str:
        match node:
            case Atom(text=text, plain=plain):
                self.plain = self.plain and plain
                return text
            case Group():
                return self._group(node, left=left, right=right)
            case Repeat(node=inner, least=least, most=most):
                return self._node(inner, left=False, right=False) + _quantifier(least, most)
        # An anchor in the middle: leaving it out matches more.
        self.exact = False
        return ""


def _quantifier(least: int, most: int | None) -> str:
    match least, most:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case 0, 1:
            return "?"
        case _, None:
            return f"{{{least},}}"
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"
