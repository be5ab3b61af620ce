"""``FakeLM``: answers given by a test in a model's place, parsed and validated as a model's are."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic_core

from conduit.errors import ConduitError
from conduit.lmlite.nodes.smallest import smallest
from conduit.lmlite.request import LMReply, LMRequest
from conduit.mdl.reasoning import ANSWER, FIELD


@dataclass(frozen=True)
class Raw:
    """An answer given as the text that a model would write, valid or not."""

    text: str
    finish_reason: str = "stop"
    refusal: str | None = None


@dataclass(frozen=True)
class Thinking:
    """An answer, and what a reasoning model would think before it."""

    reasoning: str
    answer: Any


class FakeLM:
    """Answers in a model's place. Its answers are parsed and validated as a model's are, and streamed in pieces.

    ``answers`` is one of:

    - nothing: every answer is the smallest value that fits, for text ``"ok"``;
    - a mapping from the name of a block (of a type for ``lm(output=T)``, ``"chat"`` for messages) to its answer;
    - a function that takes the ``LMRequest`` of any call and returns its answer.

    An answer is a value, ``FakeLM.raw("text")``, ``FakeLM.refusal("words")``, ``FakeLM.thinking("thoughts",
    answer)``, an exception to raise, a function that is called with the block's arguments (it may be ``async``)
    and returns any of these, or a list of such, used up one a request. To answer with a list as the value, return
    it from a function.

    Attributes:
        calls: The requests so far, retries included.
    """

    def __init__(self, answers: Mapping[str, Any] | Callable[[LMRequest], Any] | None = None) -> None:
        self.calls: list[LMRequest] = []
        self._for_all = answers if callable(answers) else None
        self._by_name = None if answers is None or callable(answers) else dict(answers)
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()

    @staticmethod
    def raw(text: str, *, finish_reason: str = "stop") -> Raw:
        """An answer as text; ``finish_reason="length"`` makes it one that the token limit cut."""
        return Raw(text, finish_reason)

    @staticmethod
    def refusal(words: str = "I cannot help with that.") -> Raw:
        """The model declines to answer, in these words."""
        return Raw("", refusal=words)

    @staticmethod
    def thinking(reasoning: str, answer: Any) -> Thinking:
        """An answer after some thinking, which the model tells in a channel of its own."""
        return Thinking(reasoning, answer)

    async def respond(self, request: LMRequest) -> LMReply:
        """Answers one request; called by the framework."""
        with self._lock:
            self.calls.append(request)
        answer, reasoning = await self._answer(request), ""
        if isinstance(answer, Thinking):
            answer, reasoning = answer.answer, answer.reasoning
        if isinstance(answer, BaseException) or (
            isinstance(answer, type) and issubclass(answer, BaseException)
        ):
            raise answer
        if not isinstance(answer, Raw):
            answer, reasoning = _written(request, answer, reasoning)
        words = sum(len(str(message["content"]).split()) for message in request.messages)
        return LMReply(
            answer.text,
            finish_reason=answer.finish_reason,
            prompt_tokens=words,
            completion_tokens=len(answer.text.split()) + len(reasoning.split()),
            replica="fake",
            reasoning=reasoning,
            refusal=answer.refusal,
        )

    async def _answer(self, request: LMRequest) -> Any:
        if self._for_all is not None:
            return await _settled(self._for_all(request))
        if self._by_name is None:
            least = (
                "ok" if request.schema is None else pydantic_core.to_json(smallest(request.schema)).decode()
            )
            return Raw(least)
        name = request.block or getattr(request.output, "__name__", None) or "chat"
        if name not in self._by_name:
            known = ", ".join(map(repr, self._by_name)) or "none"
            raise ConduitError(
                f"FakeLM has no answer for {name!r}; it has answers for: {known}.",
                hint=f"Add it: FakeLM({{{name!r}: ...}}).",
            )
        answer = self._by_name[name]
        if isinstance(answer, list):
            answer = self._next(name, answer)
        if callable(answer) and not isinstance(answer, type):
            answer = await _settled(_call(answer, request))
        return answer

    def _next(self, name: str, answers: list[Any]) -> Any:
        with self._lock:
            position = self._used.get(name, 0)
            self._used[name] = position + 1
        if position >= len(answers):
            raise ConduitError(
                f"FakeLM's {len(answers)} answers for {name!r} are used up.",
                hint="Retries ask again, too. Give one more answer, or a function that answers every time.",
            )
        return answers[position]


def _written(request: LMRequest, answer: Any, reasoning: str) -> tuple[Raw, str]:
    """The text of a value, and the reasoning that is left beside it: where a field asks for it, it stands there."""
    if request.output is None:
        return Raw(str(answer)), reasoning
    if request.reasoning is not None:
        data = pydantic_core.to_jsonable_python(answer)
        answer = {FIELD: reasoning, **(data if request.reasoning == "beside" else {ANSWER: data})}
        reasoning = ""
    return Raw(pydantic_core.to_json(answer).decode()), reasoning


def _call(answer: Callable[..., Any], request: LMRequest) -> Any:
    if isinstance(request.values, Mapping):
        return answer(**request.values)
    return answer() if request.values is None else answer(request.values)


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
