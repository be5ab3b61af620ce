"""Reading single fields of a ``config.json``: a missing or impossible number is refused by name, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conduit.errors import ModelUnsupported


@dataclass(frozen=True)
class Fields:
    """The fields of a text model's configuration.

    Attributes:
        values: As they stand in the file; those of a nested ``text_config`` on top.
        model_type: The configuration's own name of the architecture.
    """

    values: Mapping[str, Any]
    model_type: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Fields:
        """The fields of the language model, which a multimodal configuration nests."""
        # Omni models nest twice: thinker_config, and text_config in it.
        thinker = config.get("thinker_config")
        outer = {**config, **thinker} if isinstance(thinker, Mapping) else dict(config)
        nested = outer.get("text_config") or outer.get("llm_config") or outer.get("language_config")
        values = {**outer, **nested} if isinstance(nested, Mapping) else outer
        return cls(values, str(values.get("model_type", "not stated")))

    def __contains__(self, name: str) -> bool:
        """Whether the field has a value."""
        return self.values.get(name) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """The field as it stands; null counts as missing."""
        value = self.values.get(name)
        return default if value is None else value

    def count(self, *names: str, default: int | None = None) -> int:
        """A whole number of at least 1, under the first of the names that has a value.

        Raises:
            ModelUnsupported: There is none, or it is no such number.
        """
        value = next((self.values[name] for name in names if name in self), default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refusal(f"{names[0]} is {value!r} in its config.json")
        return value

    def refusal(self, reason: str) -> ModelUnsupported:
        """The error that says why the model cannot be reckoned."""
        return ModelUnsupported(
            f"The memory of a model of type {self.model_type} cannot be reckoned: {reason}.",
            hint="Use a model of a known kind (Llama, Mistral, Qwen, Gemma, DeepSeek, …), or correct its "
            "config.json.",
        )
