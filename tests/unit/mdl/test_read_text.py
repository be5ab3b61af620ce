"""MDL text is read back, or refused at its line and column in bounded time."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import ConduitError, TextInvalid
from conduit.mdl import from_text, render
from conduit.mdl.form import (
    Anything,
    Choice,
    Document,
    Limits,
    ListOf,
    Member,
    Null,
    Record,
    Ref,
    Scalar,
    TupleOf,
    UnionOf,
)
from conduit.mdl.python.read import read

INT = Scalar("int")


def test_all_parts_of_a_text_are_read() -> None:
    text = (
        'Node = Dict{name: str # "its name", next?: Optional[Node]}\n'
        'kind: Literal["a", 1, 1.0, true, null] = "a"  # what it is # really\n'
        "node: Node\n"
        r"code: str(len>=2, len<=9, /^\/\d+$/)" + "\n"
        "share: float(>=0, <1.5, %0.5) = 0.5"
    )
    assert from_text(text) == Document(
        Record(
            "",
            (
                Member(
                    "kind",
                    Choice(("a", 1, 1.0, True, None)),
                    "what it is # really",
                    required=False,
                    has_default=True,
                    default="a",
                ),
                Member("node", Ref("Node")),
                Member("code", Scalar("str", Limits(min_length=2, max_length=9, pattern=r"^/\d+$"))),
                Member(
                    "share",
                    Scalar("float", Limits(ge=0, lt=1.5, multiple_of=0.5)),
                    required=False,
                    has_default=True,
                    default=0.5,
                ),
            ),
        ),
        (
            (
                "Node",
                Record(
                    "",
                    (
                        Member("name", Scalar("str"), "its name"),
                        Member("next", UnionOf((Ref("Node"), Null())), required=False),
                    ),
                ),
            ),
        ),
    )
    assert render(from_text(text)) == text


def test_one_and_true_are_told_apart() -> None:
    assert [type(value) for value in from_text("-> Literal[1, 1.0, true]").root.values] == [int, float, bool]
    assert render(from_text("-> Union[Literal[1], Literal[true]]")) == "-> Union[Literal[1], Literal[true]]"
    assert render(read(Literal[1, True])) == "-> Literal[1, true]"


@pytest.mark.parametrize(
    ("loose", "canonical"),
    [
        ("->List[ int ]", "-> List[int]"),
        ("  a :int=3   #doc  of it ", "a: int = 3  # doc of it"),
        ("a: int\n\nb: int\n", "a: int\nb: int"),
        ("-> Union[int, Optional[Union[str, int]]]", "-> Optional[Union[int, str]]"),
        ("-> Optional[Optional[int]]", "-> Optional[int]"),
        ("-> Union[int]", "-> int"),
        ("-> Any", "-> Any"),
        ("-> Tuple[]", "-> Tuple[]"),
        ("-> Tuple[int,...]", "-> Tuple[int, ...]"),
        ('-> List[Dict{a:int#"x",b:str}]', '-> List[Dict{a: int # "x", b: str}]'),
    ],
)
def test_spaces_are_free_and_unions_are_flat(loose: str, canonical: str) -> None:
    assert render(from_text(loose)) == canonical


def test_what_only_a_json_schema_has_can_be_written_too() -> None:
    document = Document(ListOf(Anything()))
    assert from_text(render(document)) == document
    assert from_text("-> None") == Document(Null())
    assert from_text("-> Tuple[int]") == Document(TupleOf((INT,)))


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("-> strr", 1, 4, "strr is not defined"),
        ("a: int\nb: List[", 2, 9, "expected a type"),
        ("a: int\na: str", 2, 1, "comes twice"),
        ("-> Dict{a: int, a: int}", 1, 17, "comes twice"),
        ("a: int\nA = int", 2, 1, "before the fields"),
        ("A = int\nA = str\n-> A", 2, 1, "taken"),
        ("List = int\n-> List[int]", 1, 1, "taken"),
        ("-> int\na: int", 2, 1, "nothing may follow"),
        ("a: int\n-> int", 2, 1, "either fields or"),
        ("-> int extra", 1, 8, "end of the line"),
        ("a: int = 3 extra", 1, 12, "end of the line"),
        ("a-b: int", 1, 1, "expected a field"),
        ("1a: int", 1, 1, "expected a field"),
        ("a int", 1, 3, "expected `:`"),
        ("a: int = nope", 1, 10, "JSON"),
        ("a: int = NaN", 1, 10, "JSON"),
        ("a: float = 1e999", 1, 12, "JSON"),
        ("a?: int = 3", 1, 9, "end of the line"),
        ("-> List", 1, 8, "expected `[`"),
        ("-> List[int, str]", 1, 18, "expected 1 type"),
        ("-> Dict[str]", 1, 13, "expected 2 types"),
        ("-> Dict[float, int]", 1, 20, "keys"),
        ("-> Literal[]", 1, 12, "JSON"),
        ("-> Literal[[1]]", 1, 12, "a choice is"),
        ("-> Union[]", 1, 10, "expected a type"),
        ("-> Tuple[..., int]", 1, 10, "expected a type"),
        ("-> int(len>=1)", 1, 8, "does not go with"),
        ("-> str(>=1)", 1, 8, "does not go with"),
        ("-> Optional[int](>=1)", 1, 18, "does not go with"),
        ("-> int(>=1, >=2)", 1, 13, "comes twice"),
        ("-> int()", 1, 8, "expected a constraint"),
        ("-> int(>=true)", 1, 10, "expected a number"),
        ("-> str(len>=-1)", 1, 15, "whole number"),
        ("-> str(len<=1.5)", 1, 16, "whole number"),
        ("-> str(/a)", 1, 8, "does not end"),
        ("-> Dict{a: int # 3}", 1, 18, "JSON string"),
        ("A = A\n-> A", 1, 1, "only for itself"),
        ("A = Optional[B]\nB = A\n-> A", 1, 1, "only for itself"),
        ("A = Dict{a: A}\n-> A", 1, 1, "without end"),
    ],
)
def test_bad_text_is_refused_where_it_is_bad(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(TextInvalid, match=words.replace("[", r"\[")) as caught:
        from_text(text)
    assert isinstance(caught.value, ConduitError)
    assert (caught.value.line, caught.value.column) == (line, column)


SIZE = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * SIZE,
        "-> " + "List[" * (SIZE // 5),
        "-> " + "Dict{a: " * (SIZE // 8),
        "Dict{" * (SIZE // 5),
        "a: int = " + "[" * SIZE,
        'a: str = "' + "\\" * SIZE,
        "a: str(/" + "\\/" * (SIZE // 2),
        "-> int(" + ">" * SIZE,
        "->" * (SIZE // 2),
    ],
    ids=lambda text: text[:16],
)
def test_a_megabyte_of_openings_is_refused(text: str) -> None:
    with pytest.raises(TextInvalid):
        from_text(text)


def test_definitions_are_not_expanded() -> None:
    lines = [f"A{number} = Dict{{a: A{number + 1}, b: A{number + 1}}}" for number in range(2_000)]
    text = "\n".join([*lines, "A2000 = int", "-> A0"])
    document = from_text(text)
    assert len(document.definitions) == 2_001
    assert render(document) == text


@given(st.text(alphabet='abAB=:,[]{}()<>"/\\#?-. \n\t0159eE%_é', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = from_text(text)
    except TextInvalid:
        return
    assert from_text(render(document)) == document


_TOKENS = [
    "List[", "Dict{", "Dict[", "Tuple[", "Optional[", "Union[", "Literal[", "]", "}", ")", "(", ", ", ": ", " = ",
    "int", "str", "a", "Ab", "...", "?", '"x"', "1", "-> ", "\n", "len>=", ">=", "/a/", "unique", "  # ", "null",
]  # fmt: skip


@given(st.lists(st.sampled_from(_TOKENS), max_size=20).map("".join))
def test_any_row_of_tokens_is_read_or_refused(text: str) -> None:
    try:
        document = from_text(text)
    except TextInvalid:
        return
    assert from_text(render(document)) == document
