"""The definitions of blocks whose calls a model answers: with a value, or with a stream that ends with one.

What the model is told comes from the function's signature and docstring; the asking is ``lmlite``'s.
"""

from __future__ import annotations

import hashlib
import inspect
import typing
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import asdict
from typing import Any, TypedDict

from pydantic import ValidationError

from conduit import mdl, telemetry
from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.contract import ASYNC_STREAMS, Contract, Kind, kind_of, outer_type
from conduit.dataflow.definition import AnsweredBy
from conduit.dataflow.inside import current_flow_run_id
from conduit.dataflow.no_body import has_body
from conduit.errors import BlockDefinitionError
from conduit.lmlite import LMLiteResource, flow_run_id, sampling

_BYTES_A_TOKEN = 4


class Telling(TypedDict, total=False):
    """What the model is told beside the signature: options of ``mdl.prompt``, which says what they mean."""

    examples: Sequence[tuple[Any, Any] | tuple[Any, Any, str]]
    reasoning: bool


class Answered:
    """A function whose calls a model answers with a value.

    Args:
        lm: Whose models.
        function: Has no body.
        names: Local names where it was decorated.
        sampling: Which model, and how its answers are drawn.
        telling: See ``Telling``.

    Raises:
        BlockDefinitionError: The function has a body, or its kind is another.
    """

    def __init__(
        self,
        lm: LMLiteResource,
        function: Any,
        names: dict[str, Any] | None,
        sampling: dict[str, Any],
        telling: dict[str, Any],
    ) -> None:
        self.name: str = function.__name__
        self.function: Callable[..., Any] = function
        self.kind = self._kind(names)
        self.contract = Contract(function, self.name, self.kind, names)
        self.raw = self._raw_form()
        self._lm, self._sampling, self._telling = lm, sampling, telling
        self._method = next(iter(self.contract.signature.parameters), "") in ("self", "cls")
        self._prompt: mdl.Prompt[Any] | None = None

    def _kind(self, names: dict[str, Any] | None) -> Kind:
        if not inspect.iscoroutinefunction(self.function):
            return Kind.SYNC
        if outer_type(self.function, names) in ASYNC_STREAMS:
            raise BlockDefinitionError(
                f"{self.name!r} is an async def that returns an asynchronous iterator.",
                hint="Write `def`: its call then gives the stream itself, for `async for`.",
                block=self.name,
            )
        return Kind.ASYNC

    def _raw_form(self) -> Callable[..., Any]:
        return self._araw if self.kind is Kind.ASYNC else self._raw

    @property
    def parallelism(self) -> int | None:
        """How many items to have under way: as many as run at a time, and as many in the replicas' queues."""
        return 2 * self._lm.parallelism_of(self._sampling.get("model_id"))

    @property
    def prompt(self) -> mdl.Prompt[Any]:
        """What the model is told; compiled at the first use, when all types exist."""
        if self._prompt is None:
            self._prompt = mdl.prompt(self._typed(), **self._telling)
        return self._prompt

    @property
    def asks(self) -> tuple[LMLiteResource, str | None, int | None]:
        """Whom a call asks: the LMLite; the model's id and the most tokens of an answer, where they are said."""
        return self._lm, self._sampling.get("model_id"), self._sampling.get("max_tokens")

    @property
    def answered_by(self) -> AnsweredBy:
        """The model, and what it is told; see ``AnsweredBy``."""
        model = self._lm.loaded(self._sampling.get("model_id"))
        drawn = {name: value for name, value in self._sampling.items() if name != "model_id"}
        told = hashlib.sha256(f"{self.prompt.hash}\n{self.prompt.system}".encode()).hexdigest()
        return AnsweredBy(
            told=told[:32],
            output=self.prompt.output,
            schema=self.prompt.schema,
            model_id=model.model_id,
            revision=model.revision,
            engine=model.engine,
            sampling=asdict(sampling(**drawn)),
            loaded=model.choices,
        )

    def estimated_tokens(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        """About how many tokens the user message is: bytes by four, which holds for English and for JSON.

        Arguments that do not fit count as one: their call fails by itself.
        """
        try:
            message = self.prompt.user(self._named(args, kwargs))
        except (TypeError, ValueError):
            return 1
        return -(-len(message.encode()) // _BYTES_A_TOKEN)

    def _typed(self) -> Callable[..., Any]:
        return self.contract.typed()

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

    def invoke_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same as ``invoke``: there is one value."""
        return self.invoke(args, kwargs)

    async def _aanswer(self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None) -> Any:
        return await self._aask(self._values(args, kwargs), timeout_s)

    def _raw(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(self._named(args, kwargs), None)

    async def _araw(self, *args: Any, **kwargs: Any) -> Any:
        return await self._aask(self._named(args, kwargs), None)

    def _ask(self, values: dict[str, Any], timeout_s: float | None) -> Any:
        with in_run_log(), telemetry.span(f"block {self.name}"):
            return self._lm.answer_sync(
                self.prompt, values, block=self.name, timeout_s=timeout_s, **self._sampling
            )

    async def _aask(self, values: dict[str, Any], timeout_s: float | None) -> Any:
        with in_run_log(), telemetry.span(f"block {self.name}"):
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
        return type(self), (self._lm, self.function, None, self._sampling, self._telling)


class Streamed(Answered):
    """A function whose calls a model answers with growing partial values, and the value at the end."""

    def _kind(self, names: dict[str, Any] | None) -> Kind:
        # Told from the annotation's outer part: types may be named in it that do not exist yet.
        annotation = self.function.__annotations__["return"]
        alias = outer_type(self.function, names, alias=True)
        if "Partial" not in str(annotation) and "Partial" not in str(typing.get_args(alias)):
            raise self._refused()
        return kind_of(self.function, names)

    def _raw_form(self) -> Callable[..., Any]:
        return self._araw_events if self.kind is Kind.ASYNC_GENERATOR else self._raw_events

    def _typed(self) -> Callable[..., Any]:
        return self.contract.typed(self._value_type)

    def _value_type(self, returned: Any) -> Any:
        parts = typing.get_args(returned)
        options = typing.get_args(parts[0]) if parts else ()
        partials = [option for option in options if (typing.get_origin(option) or option) is mdl.Partial]
        if len(partials) != 1 or len(options) < 2 or not typing.get_args(partials[0]):
            raise self._refused()
        return typing.get_args(partials[0])[0]

    def _refused(self) -> BlockDefinitionError:
        return BlockDefinitionError(
            f"{self.name!r} is annotated to return an iterator; a model's block gives one value.",
            hint="Return list[T] for several values in one, or mdl.Stream[T] (mdl.AsyncStream[T]) for partial "
            "values while it is written.",
            block=self.name,
        )

    def invoke(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The events of one call. Arguments are refused here, the model is asked with the first event."""
        values = self._values(args, kwargs)
        return self._aevents(values) if self.kind is Kind.ASYNC_GENERATOR else self._events(values)

    def invoke_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The value alone: nobody is there to look at partial ones."""
        if self.kind is Kind.ASYNC_GENERATOR:
            return self._aanswer(args, kwargs, None)
        return self._ask(self._values(args, kwargs), None)

    def _raw_events(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return self._events(self._named(args, kwargs))

    def _araw_events(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return self._aevents(self._named(args, kwargs))

    def _events(self, values: dict[str, Any]) -> Generator[Any, None, None]:
        stream = self._lm.answer_stream(self.prompt, values, block=self.name, **self._sampling)
        # The request keeps what it sees at its start; the consumer's code runs outside of this.
        with closing(stream), telemetry.span(f"block {self.name}").lasting() as span:
            with in_run_log(), span.inside():
                first = next(stream)
            yield first
            yield from stream

    async def _aevents(self, values: dict[str, Any]) -> AsyncIterator[Any]:
        stream = self._lm.answer_astream(self.prompt, values, block=self.name, **self._sampling)
        async with aclosing(stream):
            with telemetry.span(f"block {self.name}").lasting() as span:
                with in_run_log(), span.inside():
                    first = await anext(stream)
                yield first
                async for event in stream:
                    yield event


def definition(
    lm: LMLiteResource,
    function: Any,
    names: dict[str, Any] | None,
    sampling: dict[str, Any],
    telling: dict[str, Any],
) -> Answered:
    """The definition of a block that ``lm`` answers.

    Raises:
        BlockDefinitionError: The function cannot be one.
    """
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
    if has_body(function):
        raise BlockDefinitionError(
            f"{function.__name__!r} has a body, so there is nothing for a model to answer.",
            hint="Use @block for functions with a body; for @lm.block write only the docstring.",
            block=function.__name__,
        )
    streams = kind_of(function, names) in (Kind.GENERATOR, Kind.ASYNC_GENERATOR)
    return (Streamed if streams else Answered)(lm, function, names, sampling, telling)


@contextmanager
def in_run_log() -> Iterator[None]:
    """Lets the run log name the flow run."""
    run = current_flow_run_id()
    token = flow_run_id.set(None if run is None else str(run))
    try:
        yield
    finally:
        flow_run_id.reset(token)
