"""The names that JSON has for fields: aliases, alias generators, and the settings that say which of them count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic
from pydantic import AliasChoices, AliasGenerator, AliasPath, ConfigDict
from pydantic.fields import FieldInfo

from conduit.mdl.python.refusals import refusal


@dataclass(frozen=True, eq=False)
class Naming:
    """How a record's fields are named.

    Attributes:
        generator: Makes the aliases of fields that have none.
        by_name: Validation takes names in Python.
        by_alias: Validation takes aliases.
    """

    generator: Any = None
    by_name: bool = False
    by_alias: bool = True

    @property
    def key(self) -> tuple[int, bool, bool]:
        """Tells it from others while they exist."""
        return id(self.generator), self.by_name, self.by_alias

    def names(self, name: str, info: FieldInfo, path: str) -> tuple[str, ...]:
        """The name of a field in JSON, and after it all others that validation takes.

        Raises:
            UnsupportedType: The only alias is a path into another value.
        """
        alias = info.validation_alias or info.alias or self._generated(name)
        if alias is None or not self.by_alias:
            return (name,)
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        names = [plain for choice in choices if (plain := _plain(choice)) is not None]
        if not names:
            raise refusal(path, "has an alias that is a path", "give it an alias that is one string")
        return tuple(dict.fromkeys([*names, *([name] if self.by_name else [])]))

    def _generated(self, name: str) -> str | AliasPath | AliasChoices | None:
        if isinstance(self.generator, AliasGenerator):
            alias, validation_alias, _ = self.generator.generate_aliases(name)
            return validation_alias or alias
        made: str | None = self.generator(name) if self.generator else None
        return made


def _plain(alias: str | AliasPath) -> str | None:
    if isinstance(alias, str):
        return alias
    first = alias.path[0]
    return first if len(alias.path) == 1 and isinstance(first, str) else None


def naming_of(source: Any, around: Naming) -> Naming:
    """How a record's fields are named: as its own pydantic configuration says, else as in the record around it."""
    config: ConfigDict | None = getattr(source, "__pydantic_config__", None)
    if issubclass(source, pydantic.BaseModel):
        config = source.model_config
    if config is None:
        return around
    by_name = bool(config.get("validate_by_name") or config.get("populate_by_name"))
    by_alias = not (by_name and config.get("validate_by_alias") is False)
    return Naming(config.get("alias_generator"), by_name, by_alias)
