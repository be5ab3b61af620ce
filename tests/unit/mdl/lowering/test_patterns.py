"""Patterns are searched for, whatever an engine thinks of anchors; what it cannot express is widened."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conduit import mdl
from conduit.mdl.lowering.dialects import ECMA, RUST, XGRAMMAR
from conduit.mdl.lowering.patterns import BadPattern, Unreadable, translate
from support.masks import Mask


def mask_of(pattern, **more):
    return Mask(mdl.lower({"type": "string", "pattern": pattern, **more}, "llguidance").schema)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("b+", ["abc", "b"], ["", "a"]),
        ("^ab", ["abc"], ["xab"]),
        ("^a$|^bc$", ["a", "bc"], ["ab", "xa"]),
        ("^a|b$", ["ax", "xb"], ["xax"]),
        ("(^|,)a", ["a", "x,a"], ["xa"]),
        (r"^\w+$", ["é", "a_1"], ["a-b", ""]),
        (r"^[^\W\d]+$", ["ab", "é"], ["a1"]),
        (r"^\d{2,3}?$", ["12", "123"], ["1", "1234"]),
        (r"\Aa\Z", ["a"], ["ab"]),
        (r"(?i)^ok$", ["OK"], ["no"]),
        (r"^(?P<n>a)(?<m>b)$", ["ab"], ["a"]),
        (r"^\x41\u0042\/\-[\]\-&~]$", ["AB/--", "AB/-~"], ["AB/-x"]),
        ("^.$", ["é", "😀"], ["", "ab"]),
        (r"^\p{Lu}$", ["É"], ["é"]),
        ("a{b", ["xa{b"], ["ab"]),
    ],
)
def test_the_mask_matches_what_the_pattern_does(pattern, good, bad):
    mask = mask_of(pattern)
    assert [text for text in good if not mask.accepts(text)] == []
    assert [text for text in bad if mask.accepts(text)] == []


@pytest.mark.parametrize(
    ("pattern", "good"),
    [
        (r"^(?=.*\d)(?!.*\s)\w{4,}$", "abc1"),
        (r"\bfoo\b", "a foo b"),
        (r"^(a|b)\1$", "bb"),
        (r"^(?>a+)b$", "aab"),
        (r"^x(?<=x)y$", "xy"),
        (r"^[a-z&&[^b]]$", "a"),
        ("^[]a]$", "]"),
        ("^a{,3}$", "aa"),
        ("(" * 70 + "a" + ")" * 70, "a"),
        ("((a{1,50}){1,50}){1,50}", "a"),
        ("(a*)*" * 500, "a"),
    ],
)
def test_what_dialects_disagree_on_is_left_to_validation(pattern, good):
    lowered = mdl.lower({"type": "string", "pattern": pattern}, "llguidance")
    assert [(entry.keyword, entry.verdict) for entry in lowered.entries][1:] == [("pattern", "validation")]
    assert Mask(lowered.schema).accepts(good)


@pytest.mark.parametrize("pattern", ["(", "a)", "[a", "*a", "a|+", "[z-a]", "a{3,2}", "\\", "(?=a"])
def test_what_is_no_pattern_is_told_apart(pattern):
    with pytest.raises(BadPattern):
        translate(pattern, RUST)


def test_lengths_of_one_repeated_class_are_written_into_it():
    schema = {"type": "string", "pattern": "^[a-z]*$", "minLength": 2, "maxLength": 4}
    for engine in mdl.lower(schema, "llguidance"), mdl.lower(schema, "xgrammar"):
        assert engine.schema["pattern"] == "^[a-z]{2,4}$"
        assert engine.changes == ()


def test_a_digit_is_one_in_any_script_only_where_the_validator_may_think_so():
    assert translate(r"^\d$", RUST).text == r"^[\p{Nd}]$"
    assert translate(r"^[^\d]$", RUST).text == "^[^0-9]$"
    assert translate(r"^\d$", ECMA).text == "^[0-9]$"


def test_an_engine_that_matches_raw_json_gets_only_what_needs_no_escape():
    assert translate("^[a-z]+$", XGRAMMAR).plain
    for pattern in ("a", "^.$", r'^"$', r"^[^a]$", r"^\s$", r"^[ -~]$"):
        assert not translate(pattern, XGRAMMAR).plain


_ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", r"\d", r"\w", "^", "$", "(?=a)", r"\b"])
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map(lambda text: f"({text})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}"])).map(lambda p: f"(?:{p[0]}){p[1]}"),
    ),
    max_leaves=8,
)


@given(pattern=_PATTERNS, text=st.text("ab1 -\n", max_size=5))
def test_whatever_the_pattern_finds_the_written_one_matches(pattern, text):
    # Python takes $ before a last line feed, the standard does not.
    assume(not text.endswith("\n"))
    try:
        found = translate(pattern, ECMA)
    except Unreadable:
        assume(False)
    searched = re.search(pattern, text) is not None
    matched = re.fullmatch(found.text, text) is not None
    assert matched or not searched
    if found.exact:
        assert matched == searched
