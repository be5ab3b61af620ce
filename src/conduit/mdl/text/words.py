"""The words of MDL text that are no names, and how JSON stands in it."""

from __future__ import annotations

import json
import re
import typing

from conduit.mdl.form import ScalarKind

SCALARS: frozenset[str] = frozenset(typing.get_args(ScalarKind))
RESERVED = SCALARS | {"List", "Dict", "Tuple", "Optional", "Union", "Literal", "None", "Any"}

_SURROGATE = re.compile("[\ud800-\udfff]")


def json_text(value: object) -> str:
    """JSON as MDL writes it: one line, ``, `` and ``: ``, all characters as they are that UTF-8 can hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def folded(text: str) -> str:
    """A doc as it is kept: on one line, with single spaces."""
    return " ".join(_SURROGATE.sub("\ufffd", text).split())
