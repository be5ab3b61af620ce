"""xgrammar 0.2: the default grammar library of vLLM. Measured on 0.2.8.

It reads one of ``$ref``, ``const``, ``enum``, ``anyOf``, ``allOf`` and ``type`` and passes over the others in
silence, ignores lengths beside a pattern and ``multipleOf`` of numbers, closes objects that do not say otherwise,
and matches patterns against the JSON text, escapes and all. Its time grows with the square of an ``enum``.
"""

from __future__ import annotations

from conduit.mdl.lowering.base import Ledger, Schema
from conduit.mdl.lowering.dialects import XGRAMMAR
from conduit.mdl.lowering.rules import Rules


def _finish(schema: Schema, ledger: Ledger) -> Schema:  # noqa: ARG001 - the shape of all engines' finish
    return schema


RULES = Rules(
    engine="xgrammar",
    dialect=XGRAMMAR,
    most_depth=100,
    most_levels=120,
    most_schemas=5_000,
    most_options=500,
    most_optional=400,
    most_literal_characters=60_000,
    most_length=10_000,
    most_items=10_000,
    largest_factor=100,
    fractions=False,
    factor_in_range=False,
    lengths=True,
    lengths_beside_pattern=False,
    siblings=False,
    free_keys=True,
    tuples=True,
    optional=True,
    descriptions=False,
    finish=_finish,
)
