"""Values as canonical JSON through their type: equal values give equal text, in every process.

Nothing is written that would not be read back as the same value of the same type: what a type's JSON form loses
(a secret's text, the subclass of a model, a tuple that nothing calls a tuple) would be lost in a cache or a ledger,
and two values that differ would share one key.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, time
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.errors import PydanticUserError

# Bytes that are no UTF-8 have a text as well, and so has infinity.
_CONFIG = ConfigDict(
    arbitrary_types_allowed=True,
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="constants",
)


class Unwritable(Exception):
    """The value has no JSON form that would be read back equal; the text says what is in the way."""


class Codec:
    """One type's way to canonical JSON and back."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=_CONFIG)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            self._adapter = TypeAdapter(annotation)

    def key(self, value: Any) -> str:
        """The value's text for a key: a dictionary's order is no part of it.

        Raises:
            Unwritable: It has none.
        """
        return self._checked(value, sort_keys=True).decode()

    def dump(self, value: Any) -> bytes:
        """The value's text for keeping: dictionaries keep their order.

        Raises:
            Unwritable: It has none.
        """
        return self._checked(value, sort_keys=False)

    def load(self, data: bytes) -> Any:
        """The value again, validated.

        Raises:
            ValueError: This is no text of such a value.
        """
        # By the fields' own names, whatever aliases others use: a type may be written under one and read under
        # another.
        return self._adapter.validate_json(data, by_alias=False, by_name=True)

    def schema(self) -> dict[str, Any] | None:
        """The type's JSON Schema; ``None`` where it has none, or promises nothing."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self._adapter.json_schema() or None
            except PydanticUserError:
                return None

    def _checked(self, value: Any, *, sort_keys: bool) -> bytes:
        if isinstance(value, Iterator):
            raise Unwritable("it can be gone through once only")
        try:
            plain = self._adapter.dump_python(value, mode="json", by_alias=False, warnings=False)
            ordered = _ordered(value, plain)
            data = json.dumps(
                ordered, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False
            ).encode()
            back = self.load(data)
        except Exception as error:
            # A user's type may raise anything here; none of it is the call's fault.
            why = f"{type(error).__name__}: {error}".split("\n")[0]
        else:
            try:
                same, why = _same(value, back), ""
            except Exception as error:
                why = f"it cannot be compared: {type(error).__name__}: {error}"
        # Not from what the type raised: of pydantic's own some cannot be pickled, and this goes to other processes.
        if why:
            raise Unwritable(why)
        if not same:
            raise Unwritable(f"its JSON is read back as {type(back).__name__}, and not equal")
        return data


def _ordered(value: Any, plain: Any) -> Any:
    """The JSON form with the items of sets in one order; Python's own differs from process to process."""
    if isinstance(plain, list):
        if isinstance(value, AbstractSet) and len(value) == len(plain):
            items = [_ordered(part, item) for part, item in zip(value, plain, strict=True)]
            return sorted(items, key=_text)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) == len(plain):
            return [_ordered(part, item) for part, item in zip(value, plain, strict=True)]
    elif isinstance(plain, dict):
        if isinstance(value, Mapping) and len(value) == len(plain):
            parts = zip(value.values(), plain.items(), strict=True)
            return {name: _ordered(part, item) for part, (name, item) in parts}
        return {name: _ordered(getattr(value, name, None), item) for name, item in plain.items()}
    return plain


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal in value and type, all the way down; a NaN is the same as a NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other or (one != one and other != other)  # noqa: PLR0124 # that is what a NaN is
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            name in other and _same(value, other[name]) for name, value in one.items()
        )
    if isinstance(one, BaseModel):
        return (
            _same(one.__dict__, other.__dict__)
            and _same(one.__pydantic_extra__, other.__pydantic_extra__)
            and bool(one.__pydantic_private__ == other.__pydantic_private__)
        )
    if fields := getattr(type(one), "__dataclass_fields__", None):
        return all(_same(getattr(one, name, None), getattr(other, name, None)) for name in fields)
    if isinstance(one, datetime | time) and one.tzinfo is not None and one.tzinfo.utcoffset(None) is None:
        return False  # a zone with summer time: its JSON has the offset of that moment only
    return bool(one == other)
