"""Testing flows without a model, a server or a network.

``FakeLM`` answers in a model's place while ``override`` is in force; ``FakeProvider`` rents machines that exist
in memory only. Both are part of the public interface.

    fake = FakeLM({"triage": Ticket("billing", urgent=False, summary="refund")})
    with override(lm=fake):
        assert triage("Where is my money?").category == "billing"
    assert fake.calls[0].block == "triage"
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pydantic_core

from conduit.compute import (
    Caps,
    ComputeProvider,
    NodeSpec,
    NodeStatus,
    NodeView,
    Offering,
    OfferingQuery,
)
from conduit.compute.base import check_node_id
from conduit.errors import ConduitError, NodeFailed
from conduit.lmlite.calls.substitute import override
from conduit.lmlite.nodes.smallest import smallest
from conduit.lmlite.request import LMReply, LMRequest
from conduit.mdl.reasoning import ANSWER, FIELD

__all__ = ["FakeLM", "FakeProvider", "LMReply", "LMRequest", "Raw", "override"]


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


class FakeProvider:
    """A provider whose nodes exist in memory only.

    Attributes:
        nodes: What there is, by id; an ended node stays until it is forgotten.
        create_errors: Raised by the next creations, first to last, in place of a node.
        on_sale: Its offerings.
    """

    kind = ComputeProvider.LOCAL

    def __init__(self, *, this_machine: bool = False) -> None:
        self.nodes: dict[str, NodeView] = {}
        self.specs: dict[str, NodeSpec] = {}
        self.create_errors: list[ConduitError] = []
        self.on_sale: list[Offering] = []
        self.caps = Caps(this_machine=this_machine, gpus=False)

    def kill(self, node_id: str) -> None:
        """Ends a node behind everybody's back."""
        self.nodes[node_id] = replace(self.nodes[node_id], status=NodeStatus.EXITED)

    async def create(self, spec: NodeSpec) -> NodeView:
        """Makes a running node."""
        if self.create_errors:
            raise self.create_errors.pop(0)
        if spec.node_id in self.nodes:
            raise NodeFailed(f"Node {spec.node_id} exists.", node_id=spec.node_id)
        self.specs[spec.node_id] = spec
        self.nodes[spec.node_id] = NodeView(
            spec.node_id,
            owner=spec.owner,
            provider=self.kind,
            status=NodeStatus.RUNNING,
            deployment_key=spec.deployment_key,
            project=spec.project,
            created_at=0.0,
            handle={"number": len(self.specs)},
            log=f"/fake/{spec.node_id}.log",
        )
        return self.nodes[spec.node_id]

    async def list_owned(self, owner: str) -> list[NodeView]:
        """The living nodes of that owner."""
        return [view for view in self.nodes.values() if view.alive and view.owner == owner]

    async def offerings(self, _query: OfferingQuery, /) -> list[Offering]:
        """What ``on_sale`` holds."""
        return list(self.on_sale)

    async def get(self, node_id: str, _handle: Mapping[str, Any] | None = None, /) -> NodeView | None:
        """The node, alive or ended."""
        check_node_id(node_id)
        return self.nodes.get(node_id)

    async def destroy(
        self,
        node_id: str,
        _handle: Mapping[str, Any] | None = None,
        /,
        *,
        at_once: bool = False,  # noqa: ARG002 - nothing runs in it
    ) -> None:
        """Ends the node."""
        check_node_id(node_id)
        if node_id in self.nodes:
            self.kill(node_id)

    async def forget(self, node_id: str) -> None:
        """Removes an ended node."""
        check_node_id(node_id)
        if node_id in self.nodes and self.nodes[node_id].alive:
            raise NodeFailed(f"Node {node_id} still lives.", node_id=node_id)
        self.nodes.pop(node_id, None)

    async def endpoint(self, view: NodeView, port: int) -> str | None:
        """An address that leads nowhere: ``http://<node_id>:<port>``."""
        return f"http://{view.node_id}:{port}" if view.alive else None

    async def logs(self, node_id: str, _handle: Mapping[str, Any] | None = None, /) -> str:
        """One line."""
        check_node_id(node_id)
        return f"log of {node_id}" if node_id in self.nodes else ""

    async def billed_usd(self, _node_id: str, _handle: Mapping[str, Any] | None = None, /) -> float | None:
        """Nothing."""
        return 0.0

    async def aclose(self) -> None:
        """There is nothing to close."""
