"""References become plain ones; those that lead nowhere, out of the schema or round in circles are refused."""

import pytest

from conduit import mdl
from conduit.errors import SchemaUnsupported
from support.masks import Mask

TEXT = {"type": "string"}
A, B = {"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"A": TEXT}, "$ref": "#/$defs/A"},
        {"definitions": {"A": TEXT}, "$ref": "#/definitions/A"},
        {"$defs": {"A~/é b": TEXT}, "$ref": "#/$defs/A~0~1%C3%A9%20b"},
        {"$defs": {"A": {"$anchor": "here", **TEXT}}, "$ref": "#here"},
        {"$id": "https://x.example/s", "$defs": {"A": TEXT}, "$ref": "https://x.example/s#/$defs/A"},
        {"$defs": {"A": {"anyOf": [{"type": "null"}, TEXT]}}, "$ref": "#/$defs/A/anyOf/1"},
        {"components": {"schemas": {"A": TEXT}}, "$ref": "#/components/schemas/A"},
    ],
)
def test_ways_to_point(schema):
    mask = Mask(mdl.lower(schema, "llguidance").schema)
    assert mask.accepts("a")
    assert not mask.accepts(1)


def test_targets_of_one_name_are_kept_apart():
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/X/items"}, "b": {"$ref": "#/$defs/Y/items"}},
        "required": ["a", "b"],
        "$defs": {"X": {"items": TEXT}, "Y": {"items": {"type": "integer"}}},
    }
    mask = Mask(mdl.lower(schema, "llguidance").schema)
    assert mask.accepts({"a": "x", "b": 1})
    assert not mask.accepts({"a": 1, "b": "x"})


def test_a_schema_may_contain_itself():
    tree = {"type": "object", "properties": {"in": {"$ref": "#"}}, "additionalProperties": False}
    mask = Mask(mdl.lower(tree, "llguidance").schema)
    assert mask.accepts({"in": {"in": {}}})
    assert not mask.accepts({"in": 1})


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"$ref": "#"}, "nothing in between"),
        ({"$defs": {"A": B, "B": {"allOf": [A]}}, **A}, "A → B → A"),
        ({"$defs": {"A": {"anyOf": [{"type": "null"}, A]}}, **A}, "nothing in between"),
        ({"$defs": {"A": {"not": A}}, **A}, "nothing in between"),
        ({"$ref": "https://x.example/s"}, "nothing is fetched"),
        ({"$ref": "other.json#/A"}, "nothing is fetched"),
        ({"$ref": "#/$defs/A"}, "not in the schema"),
        ({"$ref": 3}, "not text"),
        ({"items": {"$id": "https://y.example/", "items": {"$ref": "#/$defs/A"}}, "$defs": {"A": TEXT}}, r"`\$id`"),
        ({"type": "object", "properties": {"in": {"$ref": "#"}}, "required": ["in"]}, "no finite value"),
        ({"$defs": {"A": {"type": "array", "items": A, "minItems": 1}}, **A}, "no finite value"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["llguidance", "xgrammar", "openai"])
def test_references_that_no_mask_can_follow_are_refused(schema, says, engine):
    with pytest.raises(SchemaUnsupported, match=says):
        mdl.lower(schema, engine)


def test_what_nothing_refers_to_is_not_sent():
    assert "$defs" not in mdl.lower({**TEXT, "$defs": {"A": {"type": "nonsense"}}}, "llguidance").schema
