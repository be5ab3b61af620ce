"""What the ``conduit mdl`` commands are pointed at: ``FILE:NAME``, a Python file, or a JSON Schema in a file.

The file is run as an import would run it. An ``LMLite`` in it starts nothing by that; an ``LMLiteBlock`` would, and
is held back while the file runs. What the file prints goes to standard error.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import sys
import typing
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic

from conduit import mdl, runtime
from conduit.errors import FileError, SchemaUnsupported


@dataclasses.dataclass(frozen=True)
class Source:
    """Something to show or to check.

    Attributes:
        name: Where it was found.
        schema: Its decoding schema.
        prompt: What a model is told; ``None`` for a type.
        text: The type's own text; ``None`` for a function.
    """

    name: str
    schema: dict[str, Any]
    prompt: mdl.Prompt[Any] | None = None
    text: str | None = None


def find(target: str) -> Source:
    """What ``FILE:NAME`` names: a block, a function or a type.

    Raises:
        FileError: There is no such file or name, or the file cannot be run.
        UnsupportedType: MDL cannot express it.
    """
    path, name = split(target)
    if name is None:
        raise FileError(f"{target} names a file only.", hint=f"Say what in it: {target}:NAME.", path=target)
    module = load(path)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = ", ".join(sorted(_own_names(module))) or "nothing"
            raise FileError(f"There is no {name} in {path}.", hint=f"It defines {known}.", path=str(path))
        found = getattr(found, part)
    return _source(found, target)


def find_all(target: str) -> list[Source]:
    """What is to be checked: one thing by name, all blocks and records of a file, or a JSON Schema.

    Raises:
        FileError: There is no such file or name, it cannot be read, or it defines nothing to check.
        UnsupportedType: MDL cannot express one of them.
        SchemaUnsupported: The JSON nests too deep to be read.
    """
    path, name = split(target)
    if name is not None:
        return [find(target)]
    if path.suffix == ".json":
        return [Source(target, _read_json(path))]
    module = load(path)
    found = [(own, getattr(module, own)) for own in _own_names(module)]
    sources = [_source(value, f"{target}:{own}") for own, value in found if _is_worth_checking(value)]
    if not sources:
        raise FileError(f"{path} defines no block of a model and no record.", path=str(path))
    return sources


def split(target: str) -> tuple[Path, str | None]:
    """File and name of ``FILE[:NAME]``."""
    file, colon, name = target.rpartition(":")
    # A drive letter is no file, and a name holds no separator.
    if colon and len(file) > 1 and "/" not in name and "\\" not in name:
        return Path(file), name
    return Path(target), None


def load(path: Path) -> ModuleType:
    """Runs a Python file as an import would.

    Raises:
        FileError: There is no such file, or it cannot be run.
    """
    if not path.is_file():
        raise FileError(f"There is no file {path}.", path=str(path))
    # A name of its own: a file called json.py must not stand in for json.
    spec = importlib.util.spec_from_file_location(f"{path.stem}__shown", path)
    if spec is None or spec.loader is None:
        raise FileError(f"{path} is no Python file.", hint="Its name has to end in .py.", path=str(path))
    module = importlib.util.module_from_spec(spec)
    # Annotations resolve in sys.modules, and the file's neighbours are to be importable, as in `python FILE`.
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with _nothing_starts(), redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except Exception as error:
        raise FileError(
            f"{path} could not be run: {type(error).__name__}: {error}", path=str(path)
        ) from error
    return module


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """An ``LMLiteBlock`` calls ``up`` when it is made; here it must cost nobody a machine."""
    block = runtime.LMLiteBlock
    type.__setattr__(block, "up", lambda *_, **__: None)
    try:
        yield
    finally:
        type.__delattr__(block, "up")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.", path=str(path)) from error
    except RecursionError as error:
        raise SchemaUnsupported(f"{path} nests too deep to be read.", hint="Flatten it.") from error
    except ValueError as error:
        raise FileError(f"{path} is not JSON: {error}.", path=str(path)) from error
    if not isinstance(schema, dict):
        raise SchemaUnsupported(f"{path} is not an object.", hint="Write the schema as an object.")
    return schema


def _own_names(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _is_worth_checking(value: Any) -> bool:
    if hasattr(value, "definition"):
        return hasattr(value.definition, "prompt")
    return inspect.isclass(value) and (
        dataclasses.is_dataclass(value)
        or issubclass(value, pydantic.BaseModel)
        or typing.is_typeddict(value)
        or hasattr(value, "_fields")
    )


def _source(value: Any, name: str) -> Source:
    definition = getattr(value, "definition", None)
    if definition is not None:
        prompt = getattr(definition, "prompt", None) or mdl.prompt(definition.contract.typed())
    elif inspect.isfunction(value):
        prompt = mdl.prompt(value)
    else:
        return Source(name, mdl.json_schema(value), text=mdl.render(value))
    return Source(name, prompt.schema, prompt=prompt)
