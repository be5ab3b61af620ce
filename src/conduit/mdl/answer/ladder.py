"""From a model's text to a validated value, by the first reading that leads there.

1. Strict JSON. 2. The same without thinking and a fence. 3. Every bracketed value in the text, read leniently, held
against the type, the cheapest first. 4. For types that are one plain value: the text itself.

What a reading gives is JSON again, and goes through the same strict validation: that is the guarantee, and no
reading can weaken it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any, Final

from conduit.errors import OutputInvalid
from conduit.mdl.answer.candidates import unfenced
from conduit.mdl.answer.coerce import unquoted
from conduit.mdl.answer.failures import invalid, shown, truncated_answer
from conduit.mdl.answer.parsed import Invalid, Parsed, Target
from conduit.mdl.answer.readings import Readings, json_bytes, says_null
from conduit.mdl.answer.repairs import Repair, repair
from conduit.mdl.answer.thinking import split_thinking

_ESCAPED: Final = re.compile(r'[{\[]\s*\\"')
_LONGEST_TRAILER: Final = 50
_TRAILERS: Final = re.compile(r"(?:</?\w{1,40}>|<\|\w{1,40}\|>)\Z")


def read_answer(target: Target, text: str, *, strict: bool, truncated: bool) -> Parsed[Any]:
    """Reads an answer; ``parse`` says how.

    Raises:
        OutputTruncated: ``truncated`` is set.
        OutputInvalid: No reading leads to a value.
    """
    if truncated:
        raise truncated_answer(target, text)
    try:
        return _with_nulls(target, text, Parsed(target.validate(text)), strict)
    except Invalid as error:
        refused = error
    thinking, answer = split_thinking(text)
    body = answer.strip()
    around: tuple[Repair, ...] = (repair("thinking"),) if thinking or answer != text else ()
    if answer.strip(" \t\n\r") != body:
        around = (*around, repair("white-space"))
    for inner, repairs in ((body, around), (unfenced(body), (*around, repair("fence")))):
        if inner is not None and inner != text:
            try:
                return _with_nulls(target, inner, Parsed(target.validate(inner), repairs, thinking), strict)
            except Invalid as error:
                refused = error
    if strict:
        raise invalid(target, text, refused.lines())
    if not body:
        raise invalid(target, text, (f"answer: is empty (expected {shown(target.guide.document.root)})",))
    refused_as = None
    if (said := _without_trailers(answer)) != answer:
        around = (*around, repair("prose"))
    for rewritten, kind in _rewritings(said):
        try:
            value, repairs = Readings(target, rewritten).best(text)
        except OutputInvalid as error:
            refused_as = refused_as or error
        else:
            return Parsed(value, (*around, *([repair(kind)] if kind else ()), *repairs), thinking)
    assert refused_as is not None
    raise refused_as


def _rewritings(answer: str) -> Iterator[tuple[str, str]]:
    """The answer as it is, then with an encoding undone that covers all of it."""
    yield answer, ""
    if (escaped := _ESCAPED.search(answer)) is not None:
        end = max(answer.rfind("}"), answer.rfind("]")) + 1
        yield unquoted(f'"{answer[escaped.start() : end]}"'), "encoded-json"
    if "&quot;" in answer:
        yield html.unescape(answer), "encoded-json"


def _without_trailers(answer: str) -> str:
    """The answer without the tags and tokens at its end."""
    end = last = len(answer.rstrip())
    while (found := _TRAILERS.search(answer, max(0, end - _LONGEST_TRAILER), end)) is not None:
        end = found.start()
        while end and answer[end - 1].isspace():
            end -= 1
    return answer[:end] if end < last else answer


def _with_nulls(target: Target, text: str, parsed: Parsed[Any], strict: bool) -> Parsed[Any]:
    """The same value with null where a text says so and null is possible."""
    if strict or not says_null(text):
        return parsed
    fit = Readings(target, text).whole()
    if fit is None or any(done.kind != "text-to-null" for done in fit.repairs):
        return parsed
    value = target.validate(json_bytes(fit.value))
    return Parsed(value, (*parsed.repairs, *fit.repairs), parsed.reasoning)
