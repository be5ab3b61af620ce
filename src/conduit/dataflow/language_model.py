"""``LMLite`` with ``.block``: functions without a body, answered by a model.

The resource itself, its deployment and its requests are ``lmlite``'s; this module only makes blocks of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from conduit.dataflow.answered import Streamed, Telling, definition
from conduit.dataflow.contract import Kind
from conduit.dataflow.decorator import built, caller_names
from conduit.dataflow.function_block import CoroutineBlock, FunctionBlock
from conduit.dataflow.options import OptionValues
from conduit.dataflow.stream_block import AsyncStreamBlock, StreamBlock
from conduit.lmlite import LMLiteResource
from conduit.mdl import Partial

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


class LanguageModelOptions(OptionValues, Sampling, Telling, total=False):
    """Options of ``@lm.block``: a block's own, the sampling, and what the model is told beside the signature."""


class LanguageModelDecorator(Protocol):
    """What ``lm.block(...)`` with options gives."""

    @overload
    def __call__(  # type: ignore[overload-overlap] # an async function is also one that returns an object
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CoroutineBlock[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # a stream is an object as well
        self, function: Callable[P, Iterator[Partial[R] | R]], /
    ) -> StreamBlock[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # a stream is an object as well
        self, function: Callable[P, AsyncIterator[Partial[R] | R]], /
    ) -> AsyncStreamBlock[P, R]: ...
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
    def block(  # type: ignore[overload-overlap] # a stream is an object as well
        self, function: Callable[P, Iterator[Partial[R] | R]], /
    ) -> StreamBlock[P, R]: ...
    @overload
    def block(  # type: ignore[overload-overlap] # a stream is an object as well
        self, function: Callable[P, AsyncIterator[Partial[R] | R]], /
    ) -> AsyncStreamBlock[P, R]: ...
    @overload
    def block(self, function: Callable[P, R], /) -> FunctionBlock[P, R]: ...
    @overload
    def block(
        self, function: None = None, /, **options: Unpack[LanguageModelOptions]
    ) -> LanguageModelDecorator: ...
    def block(self, function: Any = None, /, **options: Any) -> Any:
        """Makes a block of a function without a body; a model of this resource answers its calls.

        The docstring is the instruction, the parameters are the input and the return type is the output. A body is
        ``...``, ``pass``, ``raise NotImplementedError`` or the docstring alone. A function that returns
        ``mdl.Stream[T]`` or ``mdl.AsyncStream[T]`` gives partial values while the answer is written.

        Args:
            function: ``def`` or ``async def``, annotated throughout.
            options: A block's own (``OptionValues``), the sampling (``Sampling``), ``examples`` and ``reasoning``
                as ``mdl.prompt`` takes them.

        Raises:
            BlockDefinitionError: The function has a body, or cannot be a block.
        """
        names = caller_names()
        sampling = {name: options.pop(name) for name in Sampling.__annotations__ if name in options}
        telling = {name: options.pop(name) for name in Telling.__annotations__ if name in options}

        def made(decorated: Any) -> Any:
            defined = definition(self, decorated, names, sampling, telling)
            if not isinstance(defined, Streamed):
                return built(defined, options)
            return built(defined, options, of=_STREAM_BLOCKS[defined.kind])

        return made if function is None else made(function)


_STREAM_BLOCKS = {Kind.GENERATOR: StreamBlock, Kind.ASYNC_GENERATOR: AsyncStreamBlock}
