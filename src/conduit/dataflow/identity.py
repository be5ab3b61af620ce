"""When two calls are the same call: what caches and ledgers know a call by, and how they keep its result.

A call is known by its block, the version of that, the type of its result, the model with its sampling, and the
validated arguments as canonical JSON. Nothing else counts: no run's id, no time, no process, and nothing is equal
because it means the same.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import ValidationError
from pydantic.errors import PydanticUserError

from conduit.dataflow import source
from conduit.dataflow.canonical import Codec, Unwritable
from conduit.dataflow.contract import Kind
from conduit.dataflow.definition import Callee, Definition
from conduit.errors import NotCacheable

_FORM = "call/1"


@dataclass(frozen=True)
class Identity:
    """What decides a call's result beside its arguments.

    Attributes:
        block: ``module:qualname``; a program's own module is named after its file.
        version: The option ``version``, or a hash of the source; of a model's block of all that the model is told.
        schema_hash: Of the JSON Schema of the result; ``None`` where its type says nothing.
        model_id: The model that is loaded, of a model's block.
        revision: Of its weights, where that is known.
        engine: What runs it, where that was chosen.
        sampling: How its answers are drawn.
        loaded: Choices of how the model is loaded that change its answers.
    """

    block: str
    version: str
    schema_hash: str | None = None
    model_id: str | None = None
    revision: str | None = None
    engine: str | None = None
    sampling: Mapping[str, Any] | None = None
    loaded: Mapping[str, Any] | None = None


def models_replaced() -> bool:
    """Whether a fake or a cassette stands in the models' place: its answers must not pass for theirs."""
    # Who has not loaded this has neither.
    substitute = sys.modules.get("conduit.lmlite.calls.substitute")
    return substitute is not None and substitute.in_force()


def block_name(block: Callee) -> str:
    """``module:qualname`` of a block; a program's own module is named after its file."""
    name = _names.get(block.definition)
    if name is None:
        name = _names[block.definition] = _name(block.definition)
    return name


# Each item of a map is recorded under it.
_names: WeakKeyDictionary[Definition, str] = WeakKeyDictionary()


def _name(definition: Definition) -> str:
    function = inspect.unwrap(definition.function)
    module = getattr(function, "__module__", None) or type(function).__module__
    if module.startswith("__"):  # run as a program, or loaded by Prefect under a name of that run
        file = getattr(getattr(function, "__code__", None), "co_filename", "")
        module = PurePath(file).stem if file.endswith(".py") and "ipykernel_" not in file else "__main__"
    return f"{module}:{getattr(function, '__qualname__', definition.name)}"


def identity(block: Callee) -> Identity:
    """What decides the block's results beside the arguments; cheap after the first time.

    Raises:
        NotCacheable: No hash can be made of its source, and it has no ``version``.
    """
    return _known(block).now(block)[0]


def call_key(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """64 hex digits that name the call with these arguments.

    Args:
        block: The block.
        args: With the object that a method is bound to; with values, not handles of submitted calls.
        kwargs: The same by name.

    Raises:
        BlockInputError: An argument does not fit the signature.
        NotCacheable: An argument has no JSON form that would be read back equal.
    """
    known, contract = _known(block), block.definition.contract
    _check_kept(block, args, kwargs)
    try:
        args, kwargs = contract.arguments(*args, **kwargs)
    except ValidationError as error:
        contract.refuse_arguments(error)
    given = contract.signature.bind(*args, **kwargs)
    given.apply_defaults()
    digest = hashlib.sha256(known.now(block)[1].encode())
    for position, (name, value) in enumerate(given.arguments.items()):
        parameter = contract.signature.parameters[name]
        of_method = position == 0 and name in ("self", "cls")
        try:
            text = known.written(parameter, value, of_method=of_method)
        except Unwritable as error:
            raise _refused(block, f"its argument {name!r}", value, str(error)) from error
        digest.update(f"\n{name}:{len(text)}:{text}".encode())
    return digest.hexdigest()


def _check_kept(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    names = [*block.definition.contract.signature.parameters, *map(str, range(len(args)))]
    for name, value in (*zip(names, args, strict=False), *kwargs.items()):
        if hasattr(value, "__next__") or hasattr(value, "__anext__"):
            # Validation for the key would use it up before the call.
            raise _refused(block, f"its argument {name!r}", value, "it can be gone through once only")


def dump(block: Callee, value: Any) -> bytes:
    """A result of the block as JSON, through its return type; of a generator the list of its items.

    Raises:
        NotCacheable: It has no JSON form that would be read back equal.
    """
    try:
        return _known(block).result.dump(value)
    except Unwritable as error:
        raise _refused(block, "its result", value, str(error)) from error


def load(block: Callee, data: bytes) -> Any:
    """The result again, validated.

    Raises:
        ValueError: The bytes are no result of this block.
    """
    return _known(block).result.load(data)


def _refused(block: Callee, what: str, value: Any, why: str) -> NotCacheable:
    kind = type(value).__name__
    return NotCacheable(
        f"A call of block {block.options.name!r} cannot be kept: {what}, a {kind}, "
        f"cannot be written as JSON and read back equal ({why}).",
        hint="Annotate it with a type that pydantic writes and reads again: numbers, texts, lists, dataclasses, "
        "models; or leave the block out of caches and ledgers.",
        block=block.options.name,
        what=what,
        type_name=kind,
    )


class _Known:
    """What is the same for all calls of a definition under one version."""

    def __init__(self, block: Callee) -> None:
        definition = block.definition
        self._module = getattr(definition.function, "__module__", None) or ""
        self._hints = definition.contract.hints()
        self._parameters: dict[str, Codec] = {}
        self.result = Codec(_result_type(definition, self._hints))
        self._schema_hash = _schema_hash(definition, self._hints, self.result)
        self._settled: tuple[Identity, str] | None = None

    def now(self, block: Callee) -> tuple[Identity, str]:
        """The identity, and its text; made anew each time for a function that holds values of another one."""
        if self._settled is not None:
            return self._settled
        found = _identity(block, self._schema_hash)
        both = found, json.dumps([_FORM, asdict(found)], sort_keys=True, separators=(",", ":"))
        if (
            found.model_id is not None
            or block.options.version
            or not source.holds_values(block.definition.function)
        ):
            self._settled = both
        return both

    def written(self, parameter: inspect.Parameter, value: Any, *, of_method: bool) -> str:
        """An argument as text.

        Raises:
            Unwritable: It has none.
        """
        name = parameter.name
        if of_method and name not in self._hints:
            # The object that a method belongs to: nobody annotates it.
            return source.placed(value, self._module) if isinstance(value, type) else _as_itself(value)
        codec = self._parameters.get(name)
        if codec is None:
            hint: Any = self._hints.get(name, Any)
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                hint = tuple[hint, ...]
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                hint = Any if typing.get_origin(hint) is typing.Unpack else dict[str, hint]
            codec = self._parameters[name] = Codec(hint)
        return codec.key(value)


def _as_itself(value: Any) -> str:
    try:
        return Codec(type(value)).key(value)
    except PydanticUserError as error:
        raise Unwritable(str(error).split("\n")[0]) from error


# A definition lives as long as its block; of one function there may be blocks of several versions.
_definitions: WeakKeyDictionary[Definition, dict[str | None, _Known]] = WeakKeyDictionary()


def _known(block: Callee) -> _Known:
    versions = _definitions.get(block.definition)
    if versions is None:
        versions = _definitions.setdefault(block.definition, {})
    known = versions.get(block.options.version)
    if known is None:
        known = versions.setdefault(block.options.version, _Known(block))
    return known


def _identity(block: Callee, schema_hash: str | None) -> Identity:
    name, version, answered = block_name(block), block.options.version, block.definition.answered_by
    if answered is not None:
        return Identity(
            name,
            version or answered.told,
            schema_hash,
            answered.model_id,
            answered.revision,
            answered.engine,
            answered.sampling,
            answered.loaded,
        )
    if version is None:
        try:
            version = source.fingerprint(block.definition.function)
        except Unwritable as error:
            raise NotCacheable(
                f"Block {block.options.name!r} cannot be told from another version of it: {error}.",
                hint='Give it version="1", and another one whenever it changes.',
                block=block.options.name,
                what="its source",
            ) from error
    return Identity(name, version, schema_hash)


def _result_type(definition: Definition, hints: Mapping[str, Any]) -> Any:
    if definition.answered_by is not None:
        return definition.answered_by.output
    returned = hints.get("return", Any)
    if definition.kind in (Kind.SYNC, Kind.ASYNC):
        return returned
    return list[(typing.get_args(returned) or (Any,))[0]]  # type: ignore[misc] # it is a type


def _schema_hash(definition: Definition, hints: Mapping[str, Any], result: Codec) -> str | None:
    schema: Mapping[str, Any] | None
    if definition.answered_by is not None:
        schema = definition.answered_by.schema
    elif hints.get("return", Any) is Any:
        return None
    else:
        schema = result.schema()
    if schema is None:
        return None
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
