"""The types that the corpus asks for, from as many walks of life as there are kinds of field."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, EmailStr, Field, HttpUrl
from typing_extensions import TypedDict


@dataclass
class Ingredient:
    name: str
    grams: float


@dataclass
class Recipe:
    title: str
    serves: int
    vegan: bool
    ingredients: list[Ingredient]


class Line(BaseModel):
    item: str
    quantity: Annotated[int, Field(ge=1)]
    unit_price: float


class Invoice(BaseModel):
    number: str
    currency: Literal["EUR", "USD", "GBP"]
    total: Annotated[float, Field(ge=0)]
    paid: bool
    lines: list[Line]


class Sky(Enum):
    CLEAR = "clear"
    PARTLY_CLOUDY = "partly cloudy"
    OVERCAST = "overcast"


@dataclass
class Reading:
    station: str
    celsius: float
    humidity: Annotated[int, Field(ge=0, le=100)]
    sky: Sky


@dataclass
class Book:
    title: str
    authors: list[str]
    year: int
    isbn: str
    rating: float | None = None


class Contact(BaseModel):
    full_name: str
    email: EmailStr
    phone_number: str | None
    birth_date: dt.date


@dataclass
class Comment:
    author: str
    text: str
    replies: list[Comment]


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float


class Rectangle(BaseModel):
    kind: Literal["rectangle"]
    width: float
    height: float


class Drawing(BaseModel):
    shapes: list[Annotated[Circle | Rectangle, Field(discriminator="kind")]]


class Move(TypedDict):
    piece: Literal["king", "queen", "rook", "bishop", "knight", "pawn"]
    from_square: str
    to_square: str
    is_capture: bool


@dataclass
class Snippet:
    language: str
    code: str
    explanation: str


class Review(BaseModel):
    stars: Annotated[int, Field(ge=1, le=5)]
    sentiment: Literal["positive", "negative", "mixed"]
    would_buy_again: bool
    quote: str


class Stop(NamedTuple):
    name: str
    position: tuple[float, float]


class Trip(BaseModel):
    line: str
    stops: list[Stop]
    departs: dt.time
    lasts: dt.timedelta


class Transfer(BaseModel):
    reference: uuid.UUID
    amount: Annotated[Decimal, Field(gt=0)]
    iban: str
    executed_at: dt.datetime


class Question(BaseModel):
    question: str
    options: Annotated[list[str], Field(min_length=2, max_length=5)]
    answer_index: Annotated[int, Field(ge=0)]


class Patient(BaseModel):
    chart: str
    age: Annotated[int, Field(ge=0, le=130)]
    pulse: int | None
    allergies: list[str] = []
    smoker: bool = False


@dataclass
class Host:
    hostname: str
    port: Annotated[int, Field(ge=1, le=65535)]
    tags: set[str]
    limits: dict[str, int]


class Page(BaseModel):
    url: HttpUrl
    heading: str
    links: int


Department = Literal["billing", "technical support", "sales"]


@dataclass
class Routing:
    department: Department
    urgency: Literal["urgent", "normal"]
    reason: str = field(default="")


SOUP = Recipe("Tomato soup", 4, True, [Ingredient("tomatoes", 800.0), Ingredient("basil", 12.5)])
INVOICE = Invoice(
    number="A-17",
    currency="EUR",
    total=1234.5,
    paid=False,
    lines=[
        Line(item="Desk", quantity=1, unit_price=1000.0),
        Line(item="Lamp", quantity=2, unit_price=117.25),
    ],
)
READING = Reading("Harbour", -3.5, 81, Sky.PARTLY_CLOUDY)
BOOK = Book("Persuasion", ["Jane Austen"], 1817, "9780141439686")
REVIEW = Review(stars=4, sentiment="positive", would_buy_again=True, quote="Warm and light")
MOVE: Move = {"piece": "knight", "from_square": "g1", "to_square": "f3", "is_capture": False}
QUIZ = Question(question="Which planet is largest?", options=["Mars", "Jupiter", "Venus"], answer_index=1)
HOST = Host("db-1", 5432, {"prod", "eu"}, {"cpu": 8, "memory": 64})
THREAD = Comment("reader1", "First", [Comment("reader2", "Second", [])])
PATIENT = Patient(chart="P-0042", age=57, pulse=72, allergies=["penicillin"], smoker=False)
