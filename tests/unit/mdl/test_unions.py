"""A union whose records cannot be told apart is warned of; one with a tag is not."""

import enum
import warnings
from typing import Annotated, Literal, Optional

import pytest
from pydantic import BaseModel, Discriminator, Field, Tag

from conduit import mdl


class Cat(BaseModel):
    name: str
    lives: int = 9


class Dog(BaseModel):
    name: str


class Kind(enum.Enum):
    A = "a"
    B = "b"


def test_records_with_the_same_required_fields_are_warned_of() -> None:
    class Home(BaseModel):
        pets: list[Cat | Dog]

    with pytest.warns(mdl.AmbiguousUnion, match=r"pets\[\]: a union of Cat, Dog.*fields \(name\)") as caught:
        mdl.render(Home)
    assert caught[0].filename == __file__


def test_records_without_required_fields_are_warned_of() -> None:
    class First(BaseModel):
        a: int = 1

    class Second(BaseModel):
        b: int = 1

    with pytest.warns(mdl.AmbiguousUnion):
        mdl.render(First | Second)


def test_a_discriminator_other_fields_or_a_literal_tell_records_apart() -> None:
    class Fish(BaseModel):
        name: str
        depth: int

    class First(BaseModel):
        kind: Literal["first", "1st"]

    class Second(BaseModel):
        kind: Literal["second"]

    class Third(BaseModel):
        kind: Annotated[Literal[Kind.A], "an enum's member"]

    chosen = Annotated[
        Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")],
        Discriminator(lambda value: "cat" if "lives" in value else "dog"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mdl.render(Cat | Fish)
        mdl.render(Optional[Cat])
        mdl.render(Cat | Cat)
        mdl.render(First | Second | Third)
        mdl.render(Annotated[First | Second, Field(discriminator="kind")])
        mdl.render(chosen)


def test_a_literal_that_two_records_share_does_not_tell_them_apart() -> None:
    class First(BaseModel):
        kind: Literal["a", "b"]

    class Second(BaseModel):
        kind: Kind

    with pytest.warns(mdl.AmbiguousUnion):
        mdl.render(First | Second)
