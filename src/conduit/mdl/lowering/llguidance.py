"""llguidance 1.x: the grammar library behind SGLang's and mistral.rs's structured outputs. Measured on 1.9.1.

It enforces nearly all of JSON Schema and refuses what it does not know. Its own limits, measured: JSON that nests
127 deep, 50,000 steps of compilation, 2,000 open parser items (four for an optional property, one for a branch),
1,000,000 units of lexer fuel (about one a character of a literal), and ``multipleOf``, of which it builds one lexer
state a remainder. It goes through a chain of references on the stack, and dies of 300 levels where a thread has
1 MiB. Numbers under bounds have no exponents there: 1e-7 has to be written 0.0000001.
"""

from __future__ import annotations

from conduit.mdl.lowering.base import Ledger, Schema
from conduit.mdl.lowering.dialects import RUST
from conduit.mdl.lowering.rules import Rules


def _finish(schema: Schema, ledger: Ledger) -> Schema:  # noqa: ARG001 - the shape of all engines' finish
    # A model may write free white space without end. Not lenient: what it does not know, it is to refuse.
    return {**schema, "x-guidance": {"whitespace_flexible": False}}


RULES = Rules(
    engine="llguidance",
    dialect=RUST,
    most_depth=100,
    most_levels=120,
    most_schemas=12_000,
    most_options=1_000,
    most_optional=400,
    most_literal_characters=400_000,
    most_length=1_000_000,
    most_items=1_000_000,
    largest_factor=10_000,
    fractions=True,
    factor_in_range=True,
    lengths=True,
    lengths_beside_pattern=True,
    siblings=True,
    free_keys=True,
    tuples=True,
    optional=True,
    descriptions=False,
    finish=_finish,
)
