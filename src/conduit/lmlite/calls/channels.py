"""Which part of a reply is the answer.

Engines put a reasoning model's thinking into a channel of its own, or into the text between tags; some put the
whole answer into the reasoning channel and leave the text empty. Here thinking and answer are told apart, whichever
it was.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

from conduit.errors import OutputRefused, OutputTruncated
from conduit.lmlite.request import LMReply, LMRequest
from conduit.mdl.answer import split_thinking

_HELD_BACK = ("content_filter", "refusal")
# The brackets of different models' tags.
_TAG = re.compile(r"[<\[\u25c1](\w+)[>\]\u25b7]")
_CLOSING = re.compile(r"[<\[\u25c1]/(\w+)[>\]\u25b7]")
# A template that opens the block in the prompt leaves the closing tag alone, on a line of its own.
_CLOSING_LINE = re.compile(rf"^[ \t]*{_CLOSING.pattern}|{_CLOSING.pattern}[ \t]*$", re.MULTILINE)
_BEGUN_TAG = re.compile(r"[<\[\u25c1]\w*")
_LONGEST_TAG = 20


def check_not_refused(request: LMRequest, reply: LMReply, attempts: int = 1) -> None:
    """Raises where the model, or a filter behind it, declined to answer.

    Raises:
        OutputRefused: With the words of the refusal.
    """
    if reply.refusal is None and reply.finish_reason not in _HELD_BACK:
        return
    words = reply.refusal or reply.text
    said = f": {words:.200}" if words else f", finish reason {reply.finish_reason}, and said nothing"
    raise OutputRefused(
        f"{request.caller}: the model declined to answer{said}",
        hint="Asking again would not help; change the instruction or the input.",
        raw=words,
        attempts=attempts,
    )


def spoken(request: LMRequest, reply: LMReply) -> LMReply:
    """The reply to a chat with the thinking apart from the answer.

    Raises:
        OutputTruncated: The token limit cut the thinking, so that no answer began.
    """
    thinking, text = _split(reply.text)
    reasoning = "\n".join(filter(None, (reply.reasoning, thinking)))
    if text.strip() or not reasoning.strip():
        return replace(reply, text=text, reasoning=reasoning)
    if reply.finish_reason == "length":
        raise OutputTruncated(
            f"{request.caller}: the model thought for all of its {reply.completion_tokens} tokens, and no "
            "answer began.",
            hint="Raise max_tokens or max_model_len.",
            raw=reply.text,
            completion_tokens=reply.completion_tokens,
        )
    return reply if thinking else _swapped(reply)


def written(reply: LMReply) -> tuple[LMReply, bool]:
    """The reply to a typed call, and whether its answer had to be taken from the reasoning channel.

    Thinking within the text stays there: reading the value takes it out.
    """
    misplaced = not reply.text.strip() and bool(reply.reasoning.strip())
    if misplaced and reply.finish_reason == "length":
        misplaced = reply.reasoning.lstrip()[0] in "{["  # or else it is thinking that was cut
    return (_swapped(reply), True) if misplaced else (reply, False)


def _swapped(reply: LMReply) -> LMReply:
    return replace(reply, text=reply.reasoning, reasoning="")


def _split(text: str) -> tuple[str, str]:
    # A text may well speak of these tags: only a block at its beginning is thinking.
    if _opening_tag(text.lstrip()) is not None or any(map(_is_headless, _CLOSING_LINE.finditer(text))):
        return split_thinking(text)
    return "", text


def _opening_tag(text: str) -> re.Match[str] | None:
    """The tag that the text begins with, if that opens a block of thinking."""
    tag = _TAG.match(text)
    return tag if tag is not None and _opens(tag) else None


def _opens(tag: re.Match[str]) -> bool:
    return split_thinking(tag[0]) == ("", "")


def _is_headless(closing: re.Match[str]) -> bool:
    return _closes(closing) and not any(map(_opens, _TAG.finditer(closing.string, 0, closing.start())))


def _closes(closing: re.Match[str]) -> bool:
    """Whether a closing tag ends a block of thinking."""
    return split_thinking(f"<think>{closing[0].strip()}.") == ("", ".")


class ThinkingFilter:
    """Passes a streamed text on without the blocks of thinking that it begins with.

    A block whose opening tag stands in the prompt cannot be told from an answer until it ends, and passes.
    """

    def __init__(self, emit: Callable[[str], Awaitable[None]]) -> None:
        self._emit = emit
        self._held = ""
        self._thinks = False  # within a block
        self._answers = False  # all that comes is answer
        self._stripped = False  # a block has ended: white space after it belongs to it

    async def feed(self, piece: str) -> None:
        """Takes the next piece."""
        if self._answers:
            await self._emit(piece)
            return
        self._held += piece
        while self._held and not self._answers and await self._step():
            pass

    async def end(self) -> None:
        """Passes on what was held back as a possible tag."""
        if self._held and not self._thinks:
            await self._emit(self._held)
        self._held = ""

    async def _step(self) -> bool:
        """Decides about what is held; whether there may be more to decide."""
        if self._thinks:
            closing = next(filter(_closes, _CLOSING.finditer(self._held)), None)
            if closing is None:
                self._held = self._held[-_LONGEST_TAG:]
                return False
            self._held = self._held[closing.end() :]
            self._thinks, self._stripped = False, True
            return True
        text = self._held.lstrip()
        if self._stripped:
            self._held = text
        if not text:
            return False
        if (tag := _opening_tag(text)) is not None:
            self._thinks, self._held = True, text[tag.end() :]
            return True
        if _BEGUN_TAG.fullmatch(text) and len(text) < _LONGEST_TAG:
            return False
        self._answers = True
        held, self._held = self._held, ""
        await self._emit(held)
        return False
