"""What one engine's grammar can take, as data. The figures in each engine's file were measured on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from conduit.mdl.lowering.base import Engine, Ledger, Schema
from conduit.mdl.lowering.dialects import Dialect


@dataclass(frozen=True)
class Rules:
    """One engine.

    Attributes:
        engine: Its name.
        dialect: Its regular expressions.
        most_depth: How deep the JSON of a schema may nest.
        most_levels: How many schemas deep it can follow references to definitions that are not seen yet.
        most_schemas: How many schemas may stand in one, counted where they are written.
        most_options: How many branches a union may have, not counting plain values.
        most_optional: How many optional properties an object may have.
        most_literal_characters: How much text all ``enum`` together may have.
        most_length: The largest bound on a string's length that is worth enforcing.
        most_items: The same for arrays and the number of properties.
        largest_factor: The largest whole ``multipleOf`` of integers; 0 where there is none.
        fractions: It enforces a ``multipleOf`` of 0.1, 0.01 and so on.
        factor_in_range: It enforces ``multipleOf`` beside bounds.
        lengths: It enforces ``minLength`` and ``maxLength``.
        lengths_beside_pattern: It does so beside ``pattern`` as well.
        siblings: It enforces ``$ref``, ``enum``, ``anyOf``, ``allOf`` and the rest side by side.
        free_keys: Objects may have properties that are not named in the schema.
        tuples: It takes ``prefixItems``.
        optional: It takes properties that may be left out.
        descriptions: The model gets to see them, so they are kept.
        finish: Gets the lowered root with its ``$defs``; what the engine wants of a whole schema.
    """

    engine: Engine
    dialect: Dialect
    most_depth: int
    most_levels: int
    most_schemas: int
    most_options: int
    most_optional: int
    most_literal_characters: int
    most_length: int
    most_items: int
    largest_factor: int
    fractions: bool
    factor_in_range: bool
    lengths: bool
    lengths_beside_pattern: bool
    siblings: bool
    free_keys: bool
    tuples: bool
    optional: bool
    descriptions: bool
    finish: Callable[[Schema, Ledger], Schema]
