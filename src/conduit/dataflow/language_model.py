"""``LMLite`` with ``.block``: functions without a body, answered by a model.

The resource itself, its deployment and its requests are ``lmlite``'s; this module only makes blocks of it.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from pydantic import ValidationError

from conduit import mdl
from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.contract import Contract, Kind, kind_of
from conduit.dataflow.decorator import built, caller_names
from conduit.dataflow.function_block import CoroutineBlock, FunctionBlock
from conduit.dataflow.inside import current_flow_run_id
from conduit.dataflow.options import OptionValues
from conduit.errors import BlockDefinitionError
from conduit.lmlite import LMLiteResource, flow_run_id

P = ParamSpec("P")
R = TypeVar("R")


class Sampling(TypedDict, total=False):
    """Which model is asked and how the answer is drawn; ``LMLite`` says what each means."""

    model_id: str
    temperature: float
    max_tokens: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    top_p: float | None


class LanguageModelOptions(OptionValues, Sampling, total=False):
    """Options of ``@lm.block``: a block's own, and the sampling."""


class LanguageModelDecorator(Protocol):
    """What ``lm.block(...)`` with options gives."""

    @overload
    def __call__(  # type: ignore[overload-overlap] # an async function is also one that returns an object
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CoroutineBlock[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionBlock[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        """Makes a block of the function."""
        ...


class LMLite(LMLiteResource):
    """Open models on machines of one's own, and the blocks that they answer."""

    @overload
    def block(  # type: ignore[overload-overlap] # an async function is also one that returns an object
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CoroutineBlock[P, R]: ...
    @overload
    def block(self, function: Callable[P, R], /) -> FunctionBlock[P, R]: ...
    @overload
    def block(
        self, function: None = None, /, **options: Unpack[LanguageModelOptions]
    ) -> LanguageModelDecorator: ...
    def block(self, function: Any = None, /, **options: Any) -> Any:
        """Makes a block of a function without a body; a model of this resource answers its calls.

        The docstring is the instruction, the parameters are the input and the return type is the output. A body is
        ``...``, ``pass``, ``raise NotImplementedError`` or the docstring alone.

        Args:
            function: ``def`` or ``async def``, annotated throughout.
            options: A block's own (``OptionValues``) and the sampling (``Sampling``).

        Raises:
            BlockDefinitionError: The function has a body, or cannot be a block.
        """
        names = caller_names()
        sampling = {name: options.pop(name) for name in Sampling.__annotations__ if name in options}
        if function is None:
            return lambda decorated: built(_Answered(self, decorated, names, sampling), options)
        return built(_Answered(self, function, names, sampling), options)


class _Answered:
    """The definition of a block whose calls a model answers."""

    def __init__(
        self, lm: LMLite, function: Any, names: dict[str, Any] | None, sampling: dict[str, Any]
    ) -> None:
        if isinstance(function, BlockBase):
            raise BlockDefinitionError(
                f"{function.options.name!r} is a block already.",
                hint="Use @block or @lm.block, not both.",
                block=function.options.name,
            )
        if not inspect.isfunction(function):
            raise BlockDefinitionError(
                f"lm.block got {function!r:.80}, which is not a function.",
                hint="Decorate a def or an async def without a body.",
            )
        self.name = function.__name__
        if _has_body(function):
            raise BlockDefinitionError(
                f"{self.name!r} has a body, so there is nothing for a model to answer.",
                hint="Use @block for functions with a body; for @lm.block write only the docstring.",
                block=self.name,
            )
        self.function: Callable[..., Any] = function
        # An iterator without yield would count as a generator; a model answers once.
        self.kind = Kind.ASYNC if inspect.iscoroutinefunction(function) else Kind.SYNC
        if kind_of(function) not in (Kind.SYNC, Kind.ASYNC):
            raise BlockDefinitionError(
                f"{self.name!r} is annotated to return an iterator; a model's block gives one value.",
                hint="Return list[T] instead.",
                block=self.name,
            )
        self.contract = Contract(function, self.name, self.kind, names)
        self.raw: Callable[..., Any] = self._araw if self.kind is Kind.ASYNC else self._raw
        self._lm, self._sampling = lm, sampling
        self._method = next(iter(self.contract.signature.parameters), "") in ("self", "cls")
        self._prompt: mdl.Prompt[Any] | None = None

    @property
    def parallelism(self) -> int | None:
        """How many items to have under way: as many as run at a time, and as many in the replicas' queues."""
        return 2 * self._lm.parallelism_of(self._sampling.get("model_id"))

    @property
    def prompt(self) -> mdl.Prompt[Any]:
        """What the model is told; compiled at the first use, when all types exist."""
        if self._prompt is None:
            self._prompt = mdl.prompt(self.contract.typed())
        return self._prompt

    def invoke(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One validated call; the answer is validated where it is parsed."""
        if self.kind is Kind.ASYNC:
            return self._aanswer(args, kwargs, None)
        return self._ask(self._values(args, kwargs), None)

    def invoke_within(self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float) -> Any:
        """One validated call; the limit is the request's own, so that the engine is told as well."""
        if self.kind is Kind.ASYNC:
            return self._aanswer(args, kwargs, timeout_s)
        return self._ask(self._values(args, kwargs), timeout_s)

    async def _aanswer(self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None) -> Any:
        return await self._aask(self._values(args, kwargs), timeout_s)

    def _raw(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(self._named(args, kwargs), None)

    async def _araw(self, *args: Any, **kwargs: Any) -> Any:
        return await self._aask(self._named(args, kwargs), None)

    def _ask(self, values: dict[str, Any], timeout_s: float | None) -> Any:
        with _in_run_log():
            return self._lm.answer_sync(
                self.prompt, values, block=self.name, timeout_s=timeout_s, **self._sampling
            )

    async def _aask(self, values: dict[str, Any], timeout_s: float | None) -> Any:
        with _in_run_log():
            return await self._lm.answer(
                self.prompt, values, block=self.name, timeout_s=timeout_s, **self._sampling
            )

    def _values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            args, kwargs = self.contract.arguments(*args, **kwargs)
        except ValidationError as error:
            self.contract.refuse_arguments(error)
        return self._named(args, kwargs)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        given = self.contract.signature.bind(*args, **kwargs)
        given.apply_defaults()
        values = dict(given.arguments)
        if self._method:
            values.pop(next(iter(values)))
        return values

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._lm, self.function, None, self._sampling)


@contextmanager
def _in_run_log() -> Iterator[None]:
    """Lets the run log name the flow run."""
    run = current_flow_run_id()
    token = flow_run_id.set(None if run is None else str(run))
    try:
        yield
    finally:
        flow_run_id.reset(token)


_IDLE = {
    "RESUME", "NOP", "CACHE", "RETURN_GENERATOR", "POP_TOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST",
    "LOAD_GLOBAL", "PUSH_NULL", "PRECALL", "CALL", "RAISE_VARARGS", "COPY_FREE_VARS",
    "CALL_INTRINSIC_1", "RERAISE", "NOT_TAKEN", "LOAD_COMMON_CONSTANT",
}  # fmt: skip


def _has_body(function: Any) -> bool:
    """Whether a function does more than nothing or ``raise NotImplementedError``."""
    code = function.__code__
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        return True
    steps = list(dis.get_instructions(code))
    if any(step.opname not in _IDLE for step in steps):
        return True
    raises = any(step.opname == "RAISE_VARARGS" for step in steps)
    if raises:
        return any(step.opname == "LOAD_GLOBAL" and step.argval != "NotImplementedError" for step in steps)
    if any(step.opname in ("LOAD_GLOBAL", "CALL", "PRECALL") for step in steps):
        return True
    returned = [steps[i - 1] for i, step in enumerate(steps) if step.opname == "RETURN_VALUE" and i]
    returned += [step for step in steps if step.opname == "RETURN_CONST"]
    return any(step.argval is not None for step in returned)
