"""A reasoning model's thinking, set apart from its answer when both came in one text."""

from __future__ import annotations

import re

_WORDS = "think|thinking|thought|reasoning|reflection|scratchpad"
_OPENING = re.compile(rf"[<\[\u25c1]({_WORDS})[>\]\u25b7]", re.IGNORECASE)
_CLOSING = re.compile(rf"[<\[\u25c1]/({_WORDS})[>\]\u25b7]", re.IGNORECASE)
_VALUE_STARTS = ("{", "[", '"')


def split_thinking(text: str) -> tuple[str, str]:
    """Splits a text into what was thought and what was answered.

    A block counts when it opens before any bracket of an answer. Chat templates that write the opening tag into
    the prompt leave only the closing one; a block that is never closed leaves no answer.
    """
    opening = _OPENING.search(text)
    if opening is None or any(sign in text[: opening.start()] for sign in "{["):
        closing = _CLOSING.search(text)
        headless = closing is not None and not text.lstrip().startswith(_VALUE_STARTS)
        if closing is not None and headless and text[closing.end() :].strip():
            return text[: closing.start()].strip(), text[closing.end() :].lstrip()
        return "", text
    thoughts: list[str] = []
    before = text[: opening.start()]
    while opening is not None:
        end = _CLOSING.search(text, opening.end())
        if end is None:
            return "\n".join([*thoughts, text[opening.end() :].strip()]), before.strip()
        thoughts.append(text[opening.end() : end.start()].strip())
        text = text[end.end() :]
        opening = _OPENING.match(text.lstrip())
        if opening is not None:
            text = text.lstrip()
    return "\n".join(thought for thought in thoughts if thought), (before + text).lstrip()
