"""The law of lowering: what a schema takes, its mask takes, and what the report calls masked, the mask enforces."""

import itertools

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from conduit import mdl
from conduit.errors import SchemaUnsupported
from support.masks import Mask

_KEYS = ["a", "b", "c"]
_VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, -3, 0.5, "", "a", "ab", "b", "2024-01-31"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(_KEYS), inner, max_size=3),
    ),
    max_leaves=5,
)
_SIZES = st.integers(0, 2)


def _schemas(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from(_KEYS), inner, max_size=3)
    keys = st.lists(st.sampled_from(_KEYS), max_size=2, unique=True)
    return st.one_of(
        st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["object", ["object", "null"]]),
                "properties": named,
                "required": keys,
                "additionalProperties": st.one_of(inner, st.booleans()),
                "patternProperties": st.dictionaries(
                    st.sampled_from(["^a$", "b", "^(?!a)", "^[bc]$"]), inner, max_size=2
                ),
                "propertyNames": st.sampled_from(
                    [{"enum": ["a", "b"]}, {"maxLength": 1}, {"pattern": "^[ab]"}]
                ),
                "minProperties": _SIZES,
                "maxProperties": st.integers(2, 3),
            },
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "type": st.just("array"),
                "items": st.one_of(inner, st.booleans()),
                "prefixItems": several,
                "minItems": _SIZES,
                "maxItems": st.integers(2, 3),
                "uniqueItems": st.booleans(),
                "contains": inner,
            },
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "anyOf": several,
                "oneOf": several,
                "allOf": several,
                "not": inner,
                "if": inner,
                "then": inner,
            },
        ),
    )


_LEAVES = st.one_of(
    st.booleans(),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "number", ["string", "integer"], "null", "boolean"])},
        optional={
            "minLength": _SIZES,
            "maxLength": st.integers(2, 3),
            "pattern": st.sampled_from(["^a", "b$", "^[ab]*$", "^(?=a)", r"^\w+$", "a|^b"]),
            "format": st.sampled_from(["date", "email"]),
            "minimum": st.integers(-3, 0),
            "exclusiveMaximum": st.integers(1, 2),
            "multipleOf": st.sampled_from([1, 2, 0.5]),
        },
    ),
    st.lists(st.sampled_from([None, True, 0, 1, "a", "ab", {"a": 1}, [0]]), min_size=1, max_size=3).map(
        lambda values: {"enum": values}
    ),
)
_SCHEMAS = st.recursive(_LEAVES, _schemas, max_leaves=5).filter(lambda schema: isinstance(schema, dict))


def _orders(value):
    """The value with its keys in all orders: a mask wants the schema's."""
    if isinstance(value, list):
        for items in itertools.product(*(list(_orders(item)) for item in value)):
            yield list(items)
    elif isinstance(value, dict):
        for names in itertools.permutations(value):
            for items in itertools.product(*(list(_orders(value[name])) for name in names)):
                yield dict(zip(names, items, strict=True))
    else:
        yield value


@settings(max_examples=400, deadline=None)
@given(schema=_SCHEMAS, values=st.lists(_VALUES, min_size=1, max_size=8))
def test_what_a_schema_takes_its_mask_takes(schema, values):
    try:
        lowered = mdl.lower(schema, "llguidance")
        mask = Mask(lowered.schema)
    except (SchemaUnsupported, ValueError):
        return  # refused: nothing is promised, and nothing is lost in silence
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for value in values:
        if validator.is_valid(value):
            assert any(mask.accepts(one) for one in _orders(value)), lowered.schema
        elif {entry.verdict for entry in lowered.entries} == {"mask"} and "format" not in str(schema):
            assert not any(mask.accepts(one) for one in _orders(value)), lowered.schema
