"""What a schema refers to, how large it is, and whether it is a schema at all. Iterative: no schema is too deep.

Every target of a reference becomes one definition with a plain name, whatever the reference looked like
(``#/definitions/A``, ``#/properties/x/items``, ``#anchor``), because engines know few ways to point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from conduit.mdl.lowering.base import unsupported
from conduit.mdl.lowering.keywords import REFERENCES, subschemas
from conduit.mdl.lowering.rules import Rules

_OLD_DRAFT = re.compile(r"json-schema\.org/draft-0[0-7]/")


@dataclass(frozen=True)
class Definition:
    """A target of references: its name in the lowered schema, the schema, and where it stands."""

    name: str
    schema: Any
    path: str


class References:
    """The references of one schema.

    Raises:
        SchemaUnsupported: The schema is too large or too deep for the engine, is no schema, or refers to something
            that is not in it or to itself without end.
    """

    def __init__(self, root: dict[str, Any], rules: Rules) -> None:
        self._root = root
        self._rules = rules
        self._id = str(root.get("$id") or root.get("id") or "").rstrip("#")
        self._by_text: dict[str, Definition] = {}
        self._by_place: dict[int, Definition] = {}
        self._names: dict[str, int] = {}
        self._anchors: dict[str, tuple[Any, str]] | None = None
        self._reached: dict[str, frozenset[str]] = {}
        self.old_draft = bool(_OLD_DRAFT.search(str(root.get("$schema", ""))))
        self._survey()
        self._check_progress()

    @property
    def definitions(self) -> list[Definition]:
        """All that is referred to, in the order of first use."""
        return list(self._by_place.values())

    def target(self, text: str) -> Definition:
        """What a reference, as written, refers to."""
        return self._by_text[text]

    def recursive(self, name: str) -> bool:
        """A definition refers to itself, directly or through others."""
        seen: set[str] = set()
        waiting = list(self._reached[name])
        while waiting:
            other = waiting.pop()
            if other == name:
                return True
            if other not in seen:
                seen.add(other)
                waiting += self._reached[other]
        return False

    def _survey(self) -> None:
        count = 0
        owners: dict[str, set[str]] = {"": set()}
        waiting: list[tuple[Any, str, int, str, bool]] = [(self._root, "$", 1, "", False)]
        while waiting:
            schema, path, depth, owner, based = waiting.pop()
            count += 1
            if count > self._rules.most_schemas:
                raise unsupported(
                    "$",
                    f"it holds more than {self._rules.most_schemas} schemas, the most that "
                    f"{self._rules.engine} takes",
                    "split the type, and ask for its parts in several calls",
                )
            if depth > self._rules.most_depth:
                raise unsupported(
                    path,
                    f"its JSON nests deeper than {self._rules.most_depth} levels",
                    "give inner types names of their own, so that they are referred to and not written out",
                )
            if isinstance(schema, bool):
                continue
            if not isinstance(schema, dict) or not all(isinstance(key, str) for key in schema):
                raise unsupported(path, "is not a schema", "write an object or a boolean")
            inner_id = schema.get("$id", schema.get("id")) if schema is not self._root else None
            based = based or (isinstance(inner_id, str) and not inner_id.startswith("#"))
            for keyword in REFERENCES:
                if keyword in schema:
                    if based:
                        raise unsupported(
                            f"{path}.{keyword}", "stands below an `$id` of its own", "drop the inner `$id`"
                        )
                    known = len(self._by_place)
                    target = self._resolve(schema[keyword], keyword, path)
                    owners[owner].add(target.name)
                    if len(self._by_place) > known:
                        owners[target.name] = set()
                        waiting.append((target.schema, target.path, 3, target.name, False))
            for suffix, part, deeper in subschemas(schema):
                waiting.append((part, path + suffix, depth + deeper, owner, based))
        self._reached = {name: frozenset(others) for name, others in owners.items()}

    def _resolve(self, text: Any, keyword: str, path: str) -> Definition:
        if not isinstance(text, str):
            raise unsupported(f"{path}.{keyword}", "is not text", "write a reference such as `#/$defs/Name`")
        if text in self._by_text:
            return self._by_text[text]
        local = text.removeprefix(self._id) if self._id and text.startswith(self._id) else text
        if local and not local.startswith("#"):
            raise unsupported(
                f"{path}.{keyword}",
                f"refers to {text!r}, which is not in the schema; nothing is fetched",
                "copy the definition into `$defs`",
            )
        found = self._find(unquote(local.removeprefix("#")))
        if found is None:
            raise unsupported(
                f"{path}.{keyword}",
                f"refers to {text!r}, which is not in the schema",
                "define it under `$defs`",
            )
        schema, place = found
        definition = self._by_place.get(id(schema))
        if definition is None:
            definition = self._by_place[id(schema)] = Definition(self._name(place), schema, place)
        self._by_text[text] = definition
        return definition

    def _find(self, pointer: str) -> tuple[Any, str] | None:
        if pointer in ("", "/"):
            return self._root, "$"
        if not pointer.startswith("/"):
            return self._anchor(pointer)
        found: Any = self._root
        path = "$"
        for step in pointer[1:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found, path = found[int(name)], f"{path}[{int(name)}]"
            elif isinstance(found, dict) and name in found:
                found, path = found[name], f"{path}.{name}"
            else:
                return None
        return found, path

    def _anchor(self, name: str) -> tuple[Any, str] | None:
        if self._anchors is None:
            self._anchors = {}
            waiting: list[tuple[Any, str]] = [(self._root, "$")]
            seen: set[int] = set()
            while waiting:
                value, path = waiting.pop()
                if id(value) in seen or not isinstance(value, dict | list):
                    continue
                seen.add(id(value))
                if isinstance(value, dict):
                    for keyword in ("$anchor", "$dynamicAnchor", "$id", "id"):
                        if isinstance(text := value.get(keyword), str):
                            self._anchors.setdefault(text.removeprefix("#"), (value, path))
                    waiting += [(part, f"{path}.{key}") for key, part in value.items()]
                else:
                    waiting += [(part, f"{path}[{i}]") for i, part in enumerate(value)]
        return self._anchors.get(name)

    def _name(self, path: str) -> str:
        last = re.sub(r"[^A-Za-z0-9_]+", "_", path.rsplit(".", 1)[-1]).strip("_")
        base = name = last or "Root"
        while name in self._names:
            self._names[base] += 1
            name = f"{base}_{self._names[base]}"
        self._names[name] = 1
        return name

    def _check_progress(self) -> None:
        """A definition that comes back to itself at the same value says nothing, and no grammar can follow it."""
        edges = {
            definition.name: self._in_place_targets(definition.schema) for definition in self.definitions
        }
        done: set[str] = set()
        for start in edges:
            trail: dict[str, None] = {}
            waiting = [(start, False)]
            while waiting:
                name, leaving = waiting.pop()
                if leaving:
                    trail.popitem()
                    done.add(name)
                elif name in trail:
                    raise unsupported(
                        next(d.path for d in self.definitions if d.name == name),
                        "refers to itself with nothing in between: " + " → ".join([*trail, name]),
                        "put the reference below a property or an item",
                    )
                elif name not in done:
                    trail[name] = None
                    waiting.append((name, True))
                    waiting += [(other, False) for other in edges[name]]

    def _in_place_targets(self, schema: Any) -> set[str]:
        found: set[str] = set()
        waiting = [schema]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict):
                found |= {self._by_text[part[keyword]].name for keyword in REFERENCES if keyword in part}
                waiting += [inner for _, inner, _ in subschemas(part, in_place=True)]
        return found
