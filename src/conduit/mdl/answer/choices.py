"""Which of several fixed values a text means."""

from __future__ import annotations

import re
from typing import Any, Final

from conduit.mdl.answer.names import squeezed
from conduit.mdl.form import Choice
from conduit.mdl.kept import Kept

_MARKS: Final = " \t\n\r\"'`*_.!,;:()[]{}<>\u201c\u201d\u2018\u2019"
_QUALIFIED = re.compile(r"[A-Za-z_]\w*\.(\w+)|<[A-Za-z_]\w*\.(\w+): .{0,200}>")
_NEGATION = re.compile(
    r"\b(?:not|never|neither|nor|no|without|isn't|isnt|wasn't|cannot|can't|don't|doesn't)\b|n't\b"
)
_SENTENCE_END = re.compile(r"[.!?;\n](?=\s|$)")
_EXPLANATION = re.compile(r"\s*(?:[:(\u2014\u2013]|\s-\s)")
_MOST_NAMES: Final = 200  # of a choice, to be looked for in a sentence
_MOST_EXPLAINED: Final = 300  # characters of a value and its explanation
_MOST_TEXT: Final = 20_000  # characters of it
_YES: Final = {"true": True, "yes": True, "false": False, "no": False}
_MORE_BOOLS: Final = {"y": True, "on": True, "1": True, "n": False, "off": False, "0": False}
BOOLS: Final = Choice((True, False), tuple(_YES.items()))


def _spelled(choice: Choice) -> dict[str, Any]:
    """Squeezed text → the value that alone is spelled so."""
    found: dict[str, list[Any]] = {}
    texts = [(value, value) for value in choice.values if isinstance(value, str)]
    for text, value in [*texts, *choice.aliases]:
        if squeezed(text):
            found.setdefault(squeezed(text), []).append(value)
    return {text: values[0] for text, values in found.items() if all(value == values[0] for value in values)}


_spellings: Final = Kept(_spelled)


def same_spelling(choice: Choice, text: str) -> Any:
    """The value that ``text`` spells in other case or punctuation, or that it starts with before an explanation.

    Returns:
        The value in a tuple, or ``()``.
    """
    spellings = _spellings(choice)
    if (qualified := _QUALIFIED.fullmatch(text.strip())) is not None:
        text = qualified[1] or qualified[2]
    whole = squeezed(text)
    if whole in spellings:
        return (spellings[whole],)
    if len(text) > _MOST_EXPLAINED or "{" in text or "[" in text:
        return ()
    # "ONE: the first of them", "urgent (by tomorrow)"
    heads = {squeezed(text[: found.start()]) for found in _EXPLANATION.finditer(text)}
    values = [spellings[head] for head in heads if head in spellings]
    if len(values) == 1 and not _said(choice, text) - {repr(values[0])}:
        return (values[0],)
    return ()


def said_choice(choice: Choice, text: str) -> Any:
    """The one value that a sentence names, without denying it first.

    Returns:
        The value in a tuple, or ``()`` when there are none or several.
    """
    places = _places(choice, text)
    values = {repr(value): value for _, value in places}
    if len(values) != 1:
        return ()
    first = min(place for place, _ in places)
    sentence = _SENTENCE_END.split(text[:first].casefold())[-1]
    if _NEGATION.search(sentence):
        return ()
    return tuple(values.values())


def bool_text(text: str) -> bool | None:
    """The truth value that a single word means."""
    word = text.strip(_MARKS).casefold()
    return _YES.get(word, _MORE_BOOLS.get(word))


def _said(choice: Choice, text: str) -> set[str]:
    return {repr(value) for _, value in _places(choice, text)}


def _places(choice: Choice, text: str) -> list[tuple[int, Any]]:
    """Where values are named in a text; those in another case count when none stands there in its own."""
    return _named(choice, text, re.NOFLAG) or _named(choice, text, re.IGNORECASE)


def _named(choice: Choice, text: str, flags: re.RegexFlag) -> list[tuple[int, Any]]:
    """Where values are named, longest names first, none within another."""
    names = [(value, value) for value in choice.values if isinstance(value, str)] + list(choice.aliases)
    if len(names) > _MOST_NAMES or len(text) > _MOST_TEXT:
        return []
    taken: list[tuple[int, int]] = []
    found: list[tuple[int, Any]] = []
    for name, value in sorted(names, key=lambda pair: -len(pair[0])):
        words = [re.escape(word) for word in re.split(r"[\W_]+", name) if word]
        if not words:
            continue
        spelled = r"[\W_]+".join(words)
        for match in re.finditer(rf"(?<!\w){spelled}(?!\w)", text, flags):
            if not any(start < match.end() and match.start() < end for start, end in taken):
                taken.append(match.span())
                found.append((match.start(), value))
    return found
