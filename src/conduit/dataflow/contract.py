"""What a signature promises: the validators of a function's arguments, result and yielded items.

They are built by pydantic at the first call and not at definition, so that a block may name types that are defined
below it. This module reads signatures; it runs no block.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from enum import Enum
from typing import Any, NoReturn

from pydantic import ConfigDict, TypeAdapter, ValidationError, validate_call
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from conduit.errors import BlockDefinitionError, BlockInputError, BlockOutputError

_CONFIG = ConfigDict(arbitrary_types_allowed=True)
SYNC_STREAMS = (Generator, Iterator, Iterable)
ASYNC_STREAMS = (AsyncGenerator, AsyncIterator, AsyncIterable)
_STREAMS = {kind.__name__: kind for kind in (Iterator, Generator, AsyncIterator, AsyncGenerator)}

Validator = Callable[[Any], Any]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Kind(Enum):
    """How a function gives its result."""

    SYNC = "function"
    ASYNC = "async function"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a ``functools.partial`` calls in the end; anything else as it is."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def kind_of(function: Callable[..., Any], names: Mapping[str, Any] | None = None) -> Kind:
    """The kind of a function; one that returns an iterator without ``yield`` is a generator as well.

    Args:
        function: Anything that can be called.
        names: Local names where it was defined, for annotations written as text.
    """
    if inspect.isasyncgenfunction(function):
        return Kind.ASYNC_GENERATOR
    if inspect.iscoroutinefunction(function):
        return Kind.ASYNC
    if inspect.isgeneratorfunction(function):
        return Kind.GENERATOR
    returned = outer_type(function, names)
    if returned in (Iterator, Generator):
        return Kind.GENERATOR
    return Kind.ASYNC_GENERATOR if returned in (AsyncIterator, AsyncGenerator) else Kind.SYNC


def outer_type(
    function: Callable[..., Any], names: Mapping[str, Any] | None = None, *, alias: bool = False
) -> Any:
    """What a function returns, outside of the brackets: ``Iterator`` of ``Iterator[Page]`` or of an alias of it.

    An annotation in text is told by this part alone, for the names within may not exist yet.

    Args:
        function: Anything that can be called.
        names: Local names where it was defined.
        alias: Gives an alias itself and not what it stands for.
    """
    function = bare(function)
    annotation = getattr(function, "__annotations__", {}).get("return")
    if isinstance(annotation, str):
        first, *rest = annotation.split("[")[0].strip().split(".")
        annotation = {**getattr(function, "__globals__", {}), **(names or {})}.get(first)
        for name in rest:
            annotation = getattr(annotation, name, None)
        if annotation is None:
            annotation = _STREAMS.get(rest[-1] if rest else first)
    return annotation if alias else typing.get_origin(annotation) or annotation


class Contract:
    """The validated border of one function.

    Attributes:
        arguments: Takes the call's arguments and gives them back validated, as positional and named ones.
        result: Takes the returned value and gives it back validated.
        item: The same for each yielded item of a generator.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, kind: Kind, names: dict[str, Any] | None
    ) -> None:
        self.function = function
        self.name = name
        self.kind = kind
        self._names = names
        self.signature = inspect.signature(function)
        self.arguments: Callable[..., Arguments] = self._first_arguments
        self.result: Validator = self._first_result
        self.item: Validator = self._first_item

    def typed(self, returning: Callable[[Any], Any] | None = None) -> Callable[..., Any]:
        """The function, or where its annotations are texts a copy that has the types instead.

        Args:
            returning: Takes the annotated return type and gives the one to put in its place.
        """
        annotations = getattr(self.function, "__annotations__", {})
        as_texts = any(isinstance(annotation, str) for annotation in annotations.values())
        if not isinstance(self.function, types.FunctionType) or not (as_texts or returning):
            return self.function
        copy = types.FunctionType(
            self.function.__code__,
            self.function.__globals__,
            self.function.__name__,
            self.function.__defaults__,
            self.function.__closure__,
        )
        copy.__kwdefaults__ = self.function.__kwdefaults__
        copy.__doc__, copy.__module__ = self.function.__doc__, self.function.__module__
        copy.__qualname__ = self.function.__qualname__
        copy.__annotations__ = self.hints()
        if returning is not None:
            copy.__annotations__["return"] = returning(copy.__annotations__.get("return"))
        return copy

    def hints(self) -> dict[str, Any]:
        """The annotations as types.

        Raises:
            BlockDefinitionError: They name what does not exist.
        """
        function = bare(self.function)
        if not inspect.isroutine(function):
            function = type(function).__call__  # an object that can be called has its annotations there
        has_closure = inspect.isfunction(function) or inspect.ismethod(function)
        closure = inspect.getclosurevars(function).nonlocals if has_closure else {}
        try:
            return typing.get_type_hints(
                function, localns={**(self._names or {}), **closure}, include_extras=True
            )
        except Exception as error:
            raise BlockDefinitionError(
                f"The annotations of block {self.name!r} cannot be read: {error}.",
                hint="Import or define the named types before the block's first call.",
                block=self.name,
            ) from error

    def _first_arguments(self, *args: Any, **kwargs: Any) -> Arguments:
        self._build()
        return self.arguments(*args, **kwargs)

    def _first_result(self, value: Any) -> Any:
        self._build()
        return self.result(value)

    def _first_item(self, value: Any) -> Any:
        self._build()
        return self.item(value)

    def build(self) -> None:
        """Makes the validators now and not at the first call.

        Raises:
            BlockDefinitionError: The signature names what there is not, or what pydantic cannot validate.
        """
        self._build()

    def _build(self) -> None:
        hints = self.hints()
        parameters = [
            p.replace(annotation=hints.get(p.name, p.annotation)) for p in self.signature.parameters.values()
        ]

        def taken(*args: Any, **kwargs: Any) -> Arguments:
            return args, kwargs

        # pydantic reads the stand-in's signature, so it validates the arguments and calls no user code: an error
        # that it raises can only be an argument's.
        taken.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # functions take it
        taken.__annotations__ = {k: v for k, v in hints.items() if k != "return"}
        taken.__module__ = self.function.__module__
        taken.__qualname__ = getattr(self.function, "__qualname__", self.name)
        taken.__name__ = getattr(self.function, "__name__", self.name)
        try:
            arguments = validate_call(config=_CONFIG)(taken)
            result, item = self._results(hints.get("return", Any))
        except (PydanticUserError, SchemaError) as error:
            raise BlockDefinitionError(
                f"The signature of block {self.name!r} cannot be validated: {getattr(error, 'message', error)}",
                hint="Annotate with types that pydantic knows, or with Any.",
                block=self.name,
            ) from error
        self.item, self.result = item, result
        self.arguments = arguments

    def _results(self, returned: Any) -> tuple[Validator, Validator]:
        if self.kind in (Kind.SYNC, Kind.ASYNC):
            return _validator(returned), _unchecked
        streams = SYNC_STREAMS if self.kind is Kind.GENERATOR else ASYNC_STREAMS
        parts = typing.get_args(returned)
        if returned is not Any and typing.get_origin(returned) not in streams and returned not in streams:
            wanted = "Iterator[T]" if self.kind is Kind.GENERATOR else "AsyncIterator[T]"
            raise BlockDefinitionError(
                f"Block {self.name!r} yields, but is annotated to return {returned!r}.",
                hint=f"Annotate it with {wanted}, T being the type of one item.",
                block=self.name,
            )
        whole = parts[2] if self.kind is Kind.GENERATOR and len(parts) == 3 else Any
        return _validator(whole), _validator(parts[0] if parts else Any)

    def refuse_arguments(self, error: ValidationError) -> NoReturn:
        """Raises a validation error of the arguments as ours."""
        lines, first = [], None
        names = list(self.signature.parameters)
        for problem in error.errors(include_url=False, include_context=False):
            path = list(problem["loc"])
            if path and isinstance(path[0], int) and path[0] < len(names):
                path[0] = names[path[0]]
            first = first if first is not None or not path else str(path[0])
            lines.append(f"{_path(path)}: {problem['msg']} (got {_shown(problem)})")
        raise BlockInputError(
            f"Block {self.name!r} cannot take {'this argument' if len(lines) == 1 else 'these arguments'}: "
            + "; ".join(lines),
            hint=f"Its signature is {self.name}{self.signature}.",
            block=self.name,
            parameter=first,
        ) from error

    def refuse_result(self, error: ValidationError, what: str = "returned") -> NoReturn:
        """Raises a validation error of a returned or yielded value as ours."""
        lines = [
            f"{_path(problem['loc'])}: {problem['msg']} (got {_shown(problem)})".removeprefix(": ")
            for problem in error.errors(include_url=False, include_context=False)
        ]
        raise BlockOutputError(
            f"Block {self.name!r} {what} a value that does not fit its signature: " + "; ".join(lines),
            hint=f"Return what {self.name}{self.signature} promises, or correct its return annotation.",
            block=self.name,
        ) from error


def _validator(annotation: Any) -> Validator:
    if annotation is Any:
        return _unchecked
    try:
        return TypeAdapter(annotation, config=_CONFIG).validate_python
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
    # Models, dataclasses and typed dicts bring their own configuration and take no other.
    return TypeAdapter(annotation).validate_python


def _unchecked(value: Any) -> Any:
    return value


def _path(location: Iterable[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(problem: Any) -> str:
    value = problem["input"]
    if problem["type"] in ("missing_argument", "missing"):
        return "nothing"
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'}, {type(value).__name__}"
