"""``@block``: makes a Conduit block of a function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.contract import Kind
from conduit.dataflow.definition import Definition, FunctionDefinition
from conduit.dataflow.function_block import CoroutineBlock, FunctionBlock
from conduit.dataflow.generator_block import AsyncGeneratorBlock, GeneratorBlock
from conduit.dataflow.options import OptionValues
from conduit.errors import BlockDefinitionError

P = ParamSpec("P")
R = TypeVar("R")
Y = TypeVar("Y")

CLASSES: dict[Kind, type[BlockBase]] = {
    Kind.SYNC: FunctionBlock,
    Kind.ASYNC: CoroutineBlock,
    Kind.GENERATOR: GeneratorBlock,
    Kind.ASYNC_GENERATOR: AsyncGeneratorBlock,
}


class Decorator(Protocol):
    """What ``block(...)`` with options gives."""

    @overload
    def __call__(  # type: ignore[overload-overlap] # what it returns is an object as well
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CoroutineBlock[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # what it returns is an object as well
        self, function: Callable[P, AsyncGenerator[Y, Any]], /
    ) -> AsyncGeneratorBlock[P, Y]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # what it returns is an object as well
        self, function: Callable[P, AsyncIterator[Y]], /
    ) -> AsyncGeneratorBlock[P, Y]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # what it returns is an object as well
        self, function: Callable[P, Generator[Y, Any, Any]], /
    ) -> GeneratorBlock[P, Y]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # what it returns is an object as well
        self, function: Callable[P, Iterator[Y]], /
    ) -> GeneratorBlock[P, Y]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionBlock[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        """Makes a block of the function."""
        ...


@overload
def block(  # type: ignore[overload-overlap] # what it returns is an object as well
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> CoroutineBlock[P, R]: ...
@overload
def block(  # type: ignore[overload-overlap] # what it returns is an object as well
    function: Callable[P, AsyncGenerator[Y, Any]], /
) -> AsyncGeneratorBlock[P, Y]: ...
@overload
def block(  # type: ignore[overload-overlap] # what it returns is an object as well
    function: Callable[P, AsyncIterator[Y]], /
) -> AsyncGeneratorBlock[P, Y]: ...
@overload
def block(  # type: ignore[overload-overlap] # what it returns is an object as well
    function: Callable[P, Generator[Y, Any, Any]], /
) -> GeneratorBlock[P, Y]: ...
@overload
def block(  # type: ignore[overload-overlap] # what it returns is an object as well
    function: Callable[P, Iterator[Y]], /
) -> GeneratorBlock[P, Y]: ...
@overload
def block(function: Callable[P, R], /) -> FunctionBlock[P, R]: ...
@overload
def block(**options: Unpack[OptionValues]) -> Decorator: ...
def block(function: Any = None, /, **options: Any) -> Any:
    """Makes a Conduit block of a function or method.

    Outside a flow the block is the function with its arguments and its result validated from its signature. In a
    flow's body each call is also a Prefect task named after the block and tagged ``conduit``. A block that another
    block calls is part of that block's task.

    Args:
        function: A function with a body: ``def`` or ``async def``, with or without ``yield``.
        options: See ``OptionValues``.

    Raises:
        BlockDefinitionError: The function or an option cannot be used.
    """
    names = caller_names()
    if function is None:
        return lambda decorated: _made(decorated, names, options)
    return _made(function, names, options)


def _made(function: Any, names: dict[str, Any], options: Any) -> Any:
    static, of_class = isinstance(function, staticmethod), isinstance(function, classmethod)
    if static or of_class:
        function = function.__func__
    if isinstance(function, BlockBase):
        raise BlockDefinitionError(
            f"{function.options.name!r} is a block already.",
            hint="Decorate once; with_options(...) gives it other options.",
            block=function.options.name,
        )
    if inspect.isclass(function) or not callable(function):
        raise BlockDefinitionError(
            f"block got {function!r:.80}, which is not a function.", hint="Decorate a def or an async def."
        )
    return built(FunctionDefinition(function, names), options, static=static, of_class=of_class)


def built(
    definition: Definition,
    options: Any,
    *,
    of: type[BlockBase] | None = None,
    static: bool = False,
    of_class: bool = False,
) -> Any:
    """The block of a definition, of the given class or of the one that its kind asks for.

    Raises:
        BlockDefinitionError: The options do not fit.
    """
    made = (of or CLASSES[definition.kind])(definition, static=static, of_class=of_class)
    return made.with_options(**options) if options else made


def caller_names() -> dict[str, Any]:
    """The local names where the decorator stands, for annotations written as text; empty in a module's body."""
    frame = sys._getframe(2)  # noqa: SLF001 # the one way to see the names that a local annotation means
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
