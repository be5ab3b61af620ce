"""A block as it was defined: the function, its contract, and how one validated call of it runs.

A definition knows nothing of flows, options or batches. A language model's block is a definition whose call is
answered by the model; see ``language_model``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pydantic import ValidationError

from conduit.dataflow.contract import Contract, Kind, bare, kind_of
from conduit.dataflow.limits import within, within_async
from conduit.dataflow.options import Options


@dataclass(frozen=True)
class AnsweredBy:
    """What answers a model's block, and what it is told: all of it decides the answer.

    Attributes:
        told: Hash of what the model is told beside the arguments.
        output: Type of the answer.
        schema: What it is decoded under.
        model_id: The model that is loaded.
        revision: Of its weights, where that is known.
        engine: What runs it, where that was chosen.
        sampling: How its answers are drawn.
        loaded: Choices of how it is loaded that change its answers.
    """

    told: str
    output: Any
    schema: Mapping[str, Any]
    model_id: str
    revision: str | None
    engine: str | None
    sampling: Mapping[str, Any]
    loaded: Mapping[str, Any]


class Definition(Protocol):
    """What a block needs of its definition. ``invoke`` gives a value, an awaitable or an iterator, by ``kind``."""

    @property
    def name(self) -> str:
        """The function's name."""
        ...

    @property
    def kind(self) -> Kind:
        """How it gives its result."""
        ...

    @property
    def function(self) -> Callable[..., Any]:
        """What was decorated."""
        ...

    @property
    def raw(self) -> Callable[..., Any]:
        """What a call runs, without validation."""
        ...

    @property
    def contract(self) -> Contract:
        """The validators."""
        ...

    @property
    def parallelism(self) -> int | None:
        """How many calls can run at the same time, where that is known."""
        ...

    @property
    def answered_by(self) -> AnsweredBy | None:
        """The model that answers; ``None`` for a function with a body."""
        ...

    @property
    def estimated_tokens(self) -> Callable[[tuple[Any, ...], dict[str, Any]], int] | None:
        """About how many tokens a call's arguments are to the model that answers, if one does."""
        ...

    def invoke(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One validated call."""
        ...

    def invoke_within(self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float) -> Any:
        """One validated call with a time limit; not for generators."""
        ...

    def invoke_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One validated call run to its end, or an awaitable of it: a generator's items in a list."""
        ...


class Callee(Protocol):
    """A block, as far as its calls need to know it.

    Attributes:
        definition: What a call runs.
        options: Its retries, limits and names.
        bound: The object of a bound method's block, or nothing.
        kinds: The classes of blocks.
    """

    definition: Definition
    options: Options
    bound: tuple[Any, ...]
    kinds: ClassVar[list[type]]


class FunctionDefinition:
    """A function with a body."""

    parallelism: int | None = None
    answered_by: AnsweredBy | None = None
    estimated_tokens: Callable[[tuple[Any, ...], dict[str, Any]], int] | None = None

    def __init__(self, function: Callable[..., Any], names: dict[str, Any] | None = None) -> None:
        self.function = self.raw = function
        self.name: str = getattr(bare(function), "__name__", type(function).__name__)
        self.kind = kind_of(function, names)
        self.contract = Contract(function, self.name, self.kind, names)
        self.invoke: Callable[[tuple[Any, ...], dict[str, Any]], Any] = {
            Kind.SYNC: self._call,
            Kind.ASYNC: self._acall,
            Kind.GENERATOR: self._iterate,
            Kind.ASYNC_GENERATOR: self._aiterate,
        }[self.kind]

    def invoke_within(self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float) -> Any:
        if self.kind is Kind.ASYNC:
            return within_async(lambda: self._acall(args, kwargs), timeout_s, self.name)
        return within(lambda: self._call(args, kwargs), timeout_s, self.name)

    def invoke_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.kind is Kind.GENERATOR:
            return list(self.invoke(args, kwargs))
        return (
            self._all(self.invoke(args, kwargs))
            if self.kind is Kind.ASYNC_GENERATOR
            else self.invoke(args, kwargs)
        )

    async def _all(self, items: AsyncIterator[Any]) -> list[Any]:
        return [item async for item in items]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function,)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # The four forms repeat this on purpose: each further Python call here is paid by every block call.
        try:
            args, kwargs = self.contract.arguments(*args, **kwargs)
        except ValidationError as error:
            self.contract.refuse_arguments(error)
        value = self.function(*args, **kwargs)
        try:
            return self.contract.result(value)
        except ValidationError as error:
            self.contract.refuse_result(error)

    async def _acall(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            args, kwargs = self.contract.arguments(*args, **kwargs)
        except ValidationError as error:
            self.contract.refuse_arguments(error)
        value = await self.function(*args, **kwargs)
        try:
            return self.contract.result(value)
        except ValidationError as error:
            self.contract.refuse_result(error)

    def _iterate(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
        # Arguments are refused at the call, not at the first item.
        try:
            args, kwargs = self.contract.arguments(*args, **kwargs)
        except ValidationError as error:
            self.contract.refuse_arguments(error)
        return self._items(self.function(*args, **kwargs))

    def _items(self, items: Iterator[Any]) -> Generator[Any, None, Any]:
        iterator = iter(items)
        try:
            while True:
                try:
                    item = next(iterator)
                except StopIteration as end:
                    return self._checked(self.contract.result, end.value, "returned")
                yield self._checked(self.contract.item, item, "yielded")
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    def _aiterate(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        try:
            args, kwargs = self.contract.arguments(*args, **kwargs)
        except ValidationError as error:
            self.contract.refuse_arguments(error)
        return self._aitems(self.function(*args, **kwargs))

    async def _aitems(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for item in items:
                yield self._checked(self.contract.item, item, "yielded")
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()

    def _checked(self, validator: Callable[[Any], Any], value: Any, what: str) -> Any:
        try:
            return validator(value)
        except ValidationError as error:
            self.contract.refuse_result(error, what)
