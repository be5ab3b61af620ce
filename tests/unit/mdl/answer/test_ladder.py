"""The ladder: what is valid stays untouched, slips are mended and recorded, and nothing invalid comes out."""

import json
from typing import Annotated, Literal, Optional, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from conduit import mdl
from conduit.errors import ConduitError, OutputInvalid, OutputTruncated


class Item(BaseModel):
    name: str
    price: Annotated[float, Field(gt=0)]


class Order(BaseModel):
    number: str
    state: Literal["open", "paid", "sent back"]
    items: list[Item]
    note: Optional[str]
    urgent: bool = False


ORDER = Order(number="A-1", state="paid", items=[Item(name="pen", price=1.5)], note=None, urgent=True)
TEXT = ORDER.model_dump_json()


def kinds(parsed: mdl.Parsed) -> list[str]:
    return [repair.kind for repair in parsed.repairs]


def test_valid_json_is_taken_as_it_is() -> None:
    parsed = mdl.parse(TEXT, Order)
    assert (parsed.value, parsed.repairs, parsed.cost) == (ORDER, (), 0)


@pytest.mark.parametrize("raw", [f"<think>hm {{</think>\n{TEXT}", f"```json\n{TEXT}\n```", f"  {TEXT}\n"])
def test_strict_takes_thinking_and_a_fence_but_repairs_nothing(raw: str) -> None:
    assert mdl.parse(raw, Order, strict=True).value == ORDER
    with pytest.raises(OutputInvalid):
        mdl.parse(raw.replace("}]", "},]"), Order, strict=True)


def test_every_repair_has_a_kind_a_place_and_a_price() -> None:
    raw = (
        '{"number": "A-1", "state": "Paid", "items": {"name": "pen", "price": "1.5"}, "note": null,'
        ' "urgent": "yes"}'
    )
    parsed = mdl.parse(raw, Order)
    assert parsed.value == ORDER
    assert [(done.kind, done.path) for done in parsed.repairs] == [
        ("choice-spelling", "state"),
        ("one-for-list", "items"),
        ("text-to-number", "items[0].price"),
        ("text-to-bool", "urgent"),
    ]
    assert parsed.cost == sum(done.cost for done in parsed.repairs) > 0


def test_a_truncated_answer_is_never_a_value_even_if_it_looks_like_one() -> None:
    with pytest.raises(OutputTruncated) as caught:
        mdl.parse(TEXT, Order, truncated=True)
    assert caught.value.raw == TEXT
    assert caught.value.partial["number"] == "A-1"


def test_errors_name_path_problem_and_expected_type() -> None:
    raw = '{"number": "A-1", "state": "lost", "items": [{"name": "pen", "price": -1}]}'
    with pytest.raises(OutputInvalid) as caught:
        mdl.parse(raw, Order)
    assert caught.value.errors == (
        'state: is none of the choices (expected Literal["open", "paid", "sent back"])',
        "items[0].price: input should be greater than 0 (expected float(>0))",
    )
    assert caught.value.raw == raw
    assert "lost" not in str(caught.value)


def test_errors_do_not_repeat_what_the_model_wrote() -> None:
    with pytest.raises(OutputInvalid) as caught:
        mdl.parse('{"number": 5, "state": "my secret", "items": "another secret", "note": [1]}', Order)
    assert "secret" not in str(caught.value)


def test_an_unclosed_bracket_is_mended_but_a_cut_text_is_not() -> None:
    assert mdl.parse(TEXT[:-1], Order).value == ORDER
    with pytest.raises(OutputInvalid, match="ends in the middle"):
        mdl.parse('{"number": "A-1", "state": "paid", "items": [], "note": "call me', Order)


def test_the_final_version_wins_over_the_draft() -> None:
    other = TEXT.replace("A-1", "A-2")
    assert mdl.parse(f"Draft: {TEXT}\nFinal: {other}", Order).value.number == "A-2"
    assert mdl.parse(f"Here: {TEXT}\nand: {other}", Order).value.number == "A-1"
    with pytest.raises(OutputInvalid, match="several versions"):
        mdl.parse(f"Either {TEXT} or {other}", Order)


def test_a_reading_as_two_types_is_refused() -> None:
    with pytest.raises(OutputInvalid):
        mdl.parse('{"value": "ab"}', dict[str, Literal["A B", "a-b"]])


def test_null_in_words_is_null_where_null_is_possible() -> None:
    assert mdl.parse('{"a": "null"}', dict[str, Optional[str]]).value == {"a": None}
    assert mdl.parse('{"a": "null"}', dict[str, str]).value == {"a": "null"}
    assert mdl.parse('{"a": "null"}', dict[str, Optional[str]], strict=True).value == {"a": "null"}
    assert mdl.parse('{"a": "None"}', dict[str, Optional[Literal["None"]]]).value == {"a": "None"}


def test_nothing_is_dropped_to_make_an_answer_fit() -> None:
    with pytest.raises(OutputInvalid):
        mdl.parse('[{"name": "pen", "price": 1}, {"name": "pencil"}]', list[Item])
    with pytest.raises(OutputInvalid):
        mdl.parse('[{"name": "pen", "price": 1}, {"name": "pencil"}]', Item)
    with pytest.raises(OutputInvalid):
        mdl.parse("[1.5]", list[int])


DEFECTS = {
    "trailing commas": lambda text: text.replace("}", ",}").replace("]", ",]").replace("[,]", "[]"),
    "a fence": lambda text: f"Sure:\n```json\n{text}\n```\nDone.",
    "a comment": lambda text: text.replace("{", "{ // first\n", 1),
    "no end": lambda text: text[:-1],
    "double encoding": json.dumps,
    "thinking": lambda text: f"<think>maybe {{'a': 1}}?</think>{text}",
    "prose": lambda text: f"I think (see {{docs}}) that {text} is it.",
    "line breaks": lambda text: json.dumps(json.loads(text), indent=3),
}  # fmt: skip
words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="{}[]\"'\\`,:/#"), max_size=8
)
orders = st.builds(
    Order,
    number=words,
    state=st.sampled_from(["open", "paid", "sent back"]),
    items=st.lists(st.builds(Item, name=words, price=st.floats(0.01, 1e6)), min_size=1, max_size=3),
    note=st.none() | words.filter(lambda text: text not in ("null", "None")),
    urgent=st.booleans(),
)


@settings(max_examples=60)
@given(orders, st.sampled_from(sorted(DEFECTS)), st.sampled_from(sorted(DEFECTS)))
def test_one_slip_or_two_do_not_change_the_value(order: Order, first: str, second: str) -> None:
    raw = DEFECTS[first](order.model_dump_json())
    assert mdl.parse(raw, Order).value == order
    if second in ("a fence", "thinking", "prose") and first not in (
        "a fence",
        "prose",
        "no end",
        "double encoding",
    ):
        assert mdl.parse(DEFECTS[second](raw), Order).value == order


TYPES = [
    Order,
    list[Item],
    dict[str, int],
    Union[int, str],
    Literal["yes", "no"],
    Optional[Item],
    tuple[int, str],
]


@settings(max_examples=300)
@given(st.text(alphabet="{}[]\",:'nulltrueabc 0123.-\n`/*#<>think", max_size=60), st.sampled_from(TYPES))
def test_whatever_comes_out_is_valid(raw: str, type_: type) -> None:
    try:
        value = mdl.parse(raw, type_).value
    except ConduitError:
        return
    TypeAdapter(type_).validate_python(value)


class Tree(BaseModel):
    name: str
    weight: Optional[float]
    children: list["Tree"]


WHOLE = [
    ORDER,
    Tree(name="root", weight=None, children=[Tree(name="leaf, green", weight=0.5, children=[])]),
    Order(number="7", state="open", items=[Item(name="a 12", price=2), Item(name="b: c", price=3)], note="x"),
]


def structural(text: str) -> list[int]:
    """Where a JSON text has punctuation of its own, not of its strings."""
    places, within = [], False
    for at, sign in enumerate(text):
        if sign == '"' and text[at - 1] != "\\":
            within = not within
            places.append(at)
        elif not within and sign in "{}[],:":
            places.append(at)
    return places


@pytest.mark.parametrize("value", WHOLE, ids=lambda value: value.__class__.__name__)
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("slip", ["lost", "doubled"])
def test_one_sign_lost_or_doubled_never_gives_another_value(
    value: BaseModel, indent: int | None, slip: str
) -> None:
    text = value.model_dump_json(indent=indent)
    read = 0
    for at in structural(text):
        raw = text[:at] + text[at + 1 :] if slip == "lost" else text[:at] + text[at] + text[at:]
        try:
            found = mdl.parse(raw, type(value)).value
        except ConduitError:
            continue
        assert found == value, raw
        read += 1
    assert read >= 0.7 * len(structural(text))


def test_the_value_is_what_strict_pydantic_makes_of_it() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Order).validate_json(TEXT.replace("1.5", '"1.5"'), strict=True)
    assert mdl.parse(TEXT.replace("1.5", '"1.5"'), Order).value == ORDER
