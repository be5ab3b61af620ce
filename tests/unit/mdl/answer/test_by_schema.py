"""Answers by a bare JSON Schema: the schema's word is the last one, and what it does not name is left out."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conduit import mdl
from conduit.errors import OutputInvalid, SchemaUnsupported

ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "state": {"enum": ["open", "paid"], "x-enum-alias": {"paid": ["settled"]}},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "note": {"type": ["string", "null"], "x-alias": "remark"},
    },
    "required": ["id", "state", "lines"],
    "$defs": {"line": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}},
}


def test_plain_data_comes_back_with_what_the_schema_names() -> None:
    raw = '{"id": "7", "state": "settled", "lines": {"sku": "A"}, "remark": "soon", "mood": "good"}'
    parsed = mdl.parse_schema(raw, ORDER)
    assert parsed.value == {"id": 7, "state": "paid", "lines": [{"sku": "A"}], "note": "soon"}
    assert {done.kind for done in parsed.repairs} == {
        "text-to-number", "alias", "one-for-list", "extra-key",
    }  # fmt: skip


def test_keys_of_any_name_stay_where_the_schema_allows_them() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert mdl.parse_schema("{a: 1, 'b': '2',}", schema).value == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [1, 2], [1, 1]),
        ({"type": "integer", "not": {"const": 3}}, 4, 3),
        ({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 5}]}, 4, 6),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 3, 2),
        ({"enum": [{"a": 1}, [2]]}, {"a": 1}, {"a": 2}),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "minProperties": 1}, {"a": 1}, {}),
        ({"type": "string", "pattern": "^(?!x)"}, "ax", "xa"),
        ({"type": "string", "format": "date"}, "2024-03-05", "the fifth"),
        ({"if": {"type": "integer"}, "then": {"minimum": 9}}, "a", 3),
        ({"type": "object", "required": ["a"]}, {"a": 1}, {"b": 1}),
        ({"prefixItems": [{"type": "integer"}], "type": "array"}, [1, "x"], ["x"]),
    ],
)
def test_what_a_form_cannot_say_the_schema_still_enforces(schema: Any, valid: Any, invalid: Any) -> None:
    assert mdl.parse_schema(json.dumps(valid), schema).value == valid
    with pytest.raises(OutputInvalid):
        mdl.parse_schema(json.dumps(invalid), schema)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "#/$defs/nowhere"}, "which is not there"),
        ({"$ref": "https://example.org/schema"}, "which is elsewhere"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
            "only to itself",
        ),
        ({"$ref": "#"}, "only to itself"),
        ({"enum": []}, "no values"),
        ({"anyOf": {}}, "no list of schemas"),
        ({"type": "array", "items": 5}, "is no schema"),
        ({"type": "widget"}, "widget"),
        ({"minimum": "three"}, "three"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_its_place(schema: Any, message: str) -> None:
    with pytest.raises(SchemaUnsupported, match=message) as caught:
        mdl.parse_schema("[1", schema)
    assert caught.value.hint


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: Any = {"type": "integer"}
    for _ in range(5_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaUnsupported, match="deep"):
        mdl.parse_schema("[]", schema)


def test_recursive_schemas_are_followed() -> None:
    tree = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["name", "children"],
            }
        },
    }
    raw = "{name: 'a', children: [{name: 'b', children: []}]}"
    assert mdl.parse_schema(raw, tree).value == {"name": "a", "children": [{"name": "b", "children": []}]}


def test_a_schema_that_changes_is_read_anew() -> None:
    schema: dict[str, Any] = {"enum": [1]}
    assert mdl.parse_schema("1", schema).value == 1
    schema["enum"] = [True]
    assert mdl.parse_schema("true", schema).value is True
    with pytest.raises(OutputInvalid):
        mdl.parse_schema("1", schema, strict=True)


leaves = st.sampled_from(
    [
        {"type": "integer"},
        {"type": "integer", "minimum": 2, "exclusiveMaximum": 9},
        {"type": "number", "maximum": 3},
        {"type": "string", "minLength": 2},
        {"type": "string", "pattern": "^a+$"},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["a", 1, None]},
        {"const": "aa"},
        {"type": ["string", "integer"]},
    ]
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner, "maxItems": st.integers(0, 3)}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=2)}),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(
            lambda fields: {
                "type": "object",
                "properties": fields,
                "required": sorted(fields)[:2],
                "additionalProperties": False,
            }
        ),
        st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner}),
    ),
    max_leaves=5,
)
documents = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, 3, 8, 9, 2.5, "", "a", "aa", "aaa", "ab", "bb"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=400)
@given(schemas, documents)
def test_strictly_read_an_answer_is_taken_exactly_if_the_schema_takes_it(schema: Any, document: Any) -> None:
    assume(not (isinstance(document, float) and document.is_integer()))
    valid = jsonschema.Draft202012Validator(schema).is_valid(document)
    try:
        value = mdl.parse_schema(json.dumps(document), schema, strict=True).value
    except OutputInvalid:
        assert not valid or _drops_keys(schema)
        return
    assert jsonschema.Draft202012Validator(schema).is_valid(value)
    if valid:
        assert value == document


def _drops_keys(schema: Any) -> bool:
    return "oneOf" in json.dumps(schema)


@settings(max_examples=300)
@given(schemas, documents)
def test_whatever_comes_out_fits_the_schema(schema: Any, document: Any) -> None:
    raw = json.dumps(document).replace('"', "'").replace("}", ",}")
    try:
        value = mdl.parse_schema(raw, schema).value
    except OutputInvalid:
        return
    jsonschema.Draft202012Validator(schema).validate(value)


def test_a_list_of_itself_comes_to_an_end() -> None:
    with pytest.raises(OutputInvalid):
        mdl.parse_schema("0.5", {"type": "array", "items": {"$ref": "#"}})
