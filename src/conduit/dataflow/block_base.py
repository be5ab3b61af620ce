"""What all Conduit blocks share: a definition, options, and the object that a method's block is bound to."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, ClassVar, Self, TypeVar, Unpack, overload

import anyio

from conduit.dataflow import calls, futures, mapping
from conduit.dataflow.contract import Kind
from conduit.dataflow.definition import Definition
from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.inside import flow_run_id
from conduit.dataflow.options import Options, OptionValues
from conduit.errors import BlockDefinitionError

B = TypeVar("B", bound="BlockBase")


class _Uncached:
    # A property would do; but mypy binds what a property gives, for a block is a descriptor itself.
    @overload
    def __get__(self, block: None, owner: type) -> Self: ...
    @overload
    def __get__(self, block: B, owner: type) -> B: ...
    def __get__(self, block: Any, owner: type) -> Any:
        return self if block is None else block.with_options(cache=False)


class BlockBase:
    """What all blocks share: their definition, their options, and the object they are bound to.

    Attributes:
        uncached: The block without its cache: a call is made whatever is kept, and its result is not kept.
    """

    kinds: ClassVar[list[type]] = []
    uncached = _Uncached()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        BlockBase.kinds.append(cls)

    def __init__(
        self,
        definition: Definition,
        options: Options | None = None,
        bound: tuple[Any, ...] = (),
        *,
        static: bool = False,
        of_class: bool = False,
    ) -> None:
        function = definition.function
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__name__ = definition.name
        self.__qualname__ = getattr(function, "__qualname__", definition.name)
        self.definition = definition
        self.options = options or Options(name=definition.name, description=(function.__doc__ or "").strip())
        self.bound = bound
        self._static, self._of_class = static, of_class
        # Nearly all calls have none of them, and need not ask which.
        own = self.options
        self._plain = not own.retries and own.timeout_s is None and not own.cache

    def with_options(self, **options: Unpack[OptionValues]) -> Self:
        """The block with other options; the block itself stays as it is.

        Raises:
            BlockDefinitionError: An option is unknown, makes no sense, or does not go with a generator.
        """
        merged = self.options.merged(options)
        limited = merged.retries > 0 or merged.timeout_s is not None
        streams = self.definition.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR)
        if limited and streams:
            raise BlockDefinitionError(
                f"{merged.name!r} is a generator: it takes neither retries nor timeout_s.",
                hint="What was yielded cannot be taken back. Retry the blocks that use the items.",
                block=merged.name,
            )
        if merged.cache and streams:
            raise BlockDefinitionError(
                f"{merged.name!r} gives its values one after another: it takes no cache.",
                hint="Keep whole results: return a list, or cache the blocks that it calls.",
                block=merged.name,
            )
        return type(self)(self.definition, merged, self.bound, static=self._static, of_class=self._of_class)

    def _submitted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BlockFuture[Any]:
        if flow_run_id() is not None:
            future: BlockFuture[Any] = bridge().submit(self, args, kwargs)
            return future
        if self.definition.kind in (Kind.ASYNC, Kind.ASYNC_GENERATOR):
            return futures.in_thread(
                lambda: anyio.run(calls.full_async, self, args, kwargs), self.options.name
            )
        return futures.in_thread(lambda: calls.full(self, args, kwargs), self.options.name)

    def _mapped(self, items: Any, same: dict[str, Any], **options: Any) -> Any:
        work = mapping.job(self, items, same, **options)
        if self.definition.kind in (Kind.ASYNC, Kind.ASYNC_GENERATOR):
            return bridge().amap(self, work) if flow_run_id() is not None else mapping.run_async(self, work)
        return bridge().map(self, work) if flow_run_id() is not None else mapping.run(self, work)

    def _bind(self, instance: object, owner: type | None) -> Self:
        if self.bound or self._static:
            return self
        target = (owner or type(instance)) if self._of_class else instance
        if target is None:
            return self
        return type(self)(self.definition, self.options, (target,))

    def __repr__(self) -> str:
        of = f" of {self.bound[0]!r}" if self.bound else ""
        return f"<{type(self).__name__} {self.__module__}.{self.__qualname__}{of}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlockBase):
            return NotImplemented
        same = self.definition is other.definition and self.options == other.options
        return same and all(a is b for a, b in zip(self.bound, other.bound, strict=False))

    def __hash__(self) -> int:
        return hash((id(self.definition), self.options, tuple(map(id, self.bound))))

    def __reduce__(self) -> tuple[Any, ...]:
        # A block that its module shows under its name travels as that name; any other one travels as a whole.
        whole = type(self), (self.definition, self.options, self.bound)
        if _named(self.__module__, self.__qualname__) is not self.definition:
            return whole
        return _restored, (self.__module__, self.__qualname__, self.options, self.bound)


def _named(module: str, qualified_name: str) -> Definition | None:
    try:
        block = importlib.import_module(module)
        for part in qualified_name.split("."):
            block = vars(block)[part]
    except (ImportError, KeyError, TypeError):
        return None
    return block.definition if isinstance(block, BlockBase) else None


def _restored(module: str, qualified_name: str, options: Options, bound: tuple[Any, ...]) -> BlockBase:
    block: Any = importlib.import_module(module)
    for part in qualified_name.split("."):
        block = vars(block)[part]
    same: BlockBase = type(block)(block.definition, options, bound)
    return same


def bridge() -> ModuleType:
    """The bridge to Prefect. Only called in a flow's body, where Prefect is loaded already."""
    from conduit.dataflow import prefect_bridge

    return prefect_bridge
