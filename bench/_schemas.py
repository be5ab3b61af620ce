"""Schemas for the benchmarks, of the kinds that MDL takes; ``_subjects`` has an answer to each."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Annotated, Generic, Literal, NamedTuple, NotRequired, TypeVar

from pydantic import BaseModel, EmailStr, Field, HttpUrl
from typing_extensions import TypedDict


# Plain fields.
@dataclass
class Message:
    category: Literal["billing", "delivery", "account", "other"]
    urgent: bool
    language: str
    summary: str


# Nested records and docs.
class Address(BaseModel):
    street: str = Field(description="street and house number")
    postcode: str
    city: str
    country: str = Field(description="ISO 3166 code of two letters", pattern="^[A-Z]{2}$")


class Customer(BaseModel):
    name: str
    email: EmailStr
    birthday: dt.date | None = None
    billing_address: Address
    delivery_address: Address | None = None


class OrderLine(BaseModel):
    article: str = Field(description="article number as printed")
    quantity: Annotated[int, Field(ge=1, le=999)]
    price: Annotated[Decimal, Field(ge=0, description="price of one, with tax")]


class Order(BaseModel):
    number: Annotated[int, Field(gt=0)]
    customer: Customer
    lines: Annotated[list[OrderLine], Field(min_length=1, max_length=50)]
    express: bool = False
    note: str | None = Field(default=None, max_length=200, description="the customer's own words")


# One record in several places.
class Amount(BaseModel):
    value: Decimal
    currency: Literal["EUR", "USD", "GBP", "CHF", "JPY"]
    tax_included: bool = True


class Budget(BaseModel):
    planned: Amount
    approved: Amount | None
    spent: Amount
    open_items: list[Amount] = []
    by_department: dict[str, Amount]


# A union by a discriminator.
class Paragraph(BaseModel):
    kind: Literal["paragraph"]
    text: str


class Picture(BaseModel):
    kind: Literal["picture"]
    url: HttpUrl
    caption: str | None


class Table(BaseModel):
    kind: Literal["table"]
    header: list[str]
    rows: list[list[str | float | None]]


class Article(BaseModel):
    title: str
    published: dt.datetime
    blocks: list[Annotated[Paragraph | Picture | Table, Field(discriminator="kind")]]


# Recursion.
@dataclass
class Section:
    heading: str
    summary: Annotated[str, Field(max_length=120)]
    pages: tuple[int, int]
    sections: list[Section] = field(default_factory=list)


# Enums, numbers with limits, tuples, maps, sets.
class Severity(Enum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass
class Finding:
    rule: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{3}$", description="the rule, such as SEC-104")]
    severity: Severity
    confidence: Annotated[float, Field(ge=0, le=1)]
    lines: Annotated[tuple[int, int], Field(description="first and last line")]
    tags: set[str]
    fixes: Annotated[dict[str, str], Field(default_factory=dict, description="replacement by file")]


# All the scalars.
class Booking(BaseModel):
    id: uuid.UUID
    guest: EmailStr
    arrives: dt.date
    check_in: dt.time
    booked_at: dt.datetime
    stays: dt.timedelta
    price: Decimal
    voucher: HttpUrl | None = None


# Maps of lists, lists of maps.
class Timetable(BaseModel):
    station: str
    departures: dict[str, list[dt.time]]
    platforms: dict[int, str]
    remarks: list[dict[str, str]] = []


# TypedDict and NamedTuple.
class Position(NamedTuple):
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


class Waypoint(TypedDict):
    name: str
    at: tuple[float, float]
    height_m: NotRequired[float]


class Route(TypedDict):
    name: str
    start: Position
    waypoints: list[Waypoint]
    distance_km: float


# Generics.
T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: Annotated[int, Field(ge=0)]
    next_cursor: str | None


class Person(BaseModel):
    name: str
    role: Literal["author", "editor", "reviewer"]
    affiliation: str | None = None


# A wide record with many docs, as extraction from documents has them.
class Party(BaseModel):
    name: str = Field(description="full name or company")
    address: str | None
    represented_by: str | None = None


class Lease(BaseModel):
    tenant: Party
    landlord: Party
    guarantor: Party | None
    premises: str = Field(description="address of what is let")
    begins: dt.date = Field(description="first day of the lease")
    ends: dt.date | None = Field(description="last day, null when open-ended")
    rent: Annotated[float, Field(ge=0, description="per month, without heating")]
    heating: Annotated[float, Field(ge=0, description="advance payment per month")] = 0
    deposit_months: Annotated[int, Field(ge=0, le=3, description="deposit, in monthly rents")]
    pets: Literal["allowed", "forbidden", "on request", "not mentioned"]
    notice_weeks: Annotated[int, Field(ge=0, multiple_of=2)] = 12
    clauses: list[str] = Field(description="unusual clauses, word by word", max_length=10)


# Mutual recursion: an expression's tree.
class Number(BaseModel):
    op: Literal["number"]
    value: float


class Sum(BaseModel):
    op: Literal["add", "multiply"]
    terms: Annotated[list[Expression], Field(min_length=2)]


class Negation(BaseModel):
    op: Literal["negate"]
    term: Expression


Expression = Number | Sum | Negation
Sum.model_rebuild()
Negation.model_rebuild()


class Formula(BaseModel):
    name: str
    expression: Expression
    variables: dict[str, float] = {}


# A plan of steps with choices of numbers and reasons first.
class Step(BaseModel):
    reasoning: str = Field(description="why this step comes now")
    tool: Literal["search", "read_page", "calculate", "ask_user", "finish"]
    argument: str
    depends_on: list[int] = Field(default=[], description="numbers of earlier steps")
    effort: Literal[1, 2, 3, 5, 8]


class Plan(BaseModel):
    goal: str
    assumptions: list[str] = []
    steps: Annotated[list[Step], Field(min_length=1, max_length=12)]
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.5


# One record in many fields, as laboratories report.
class Measured(BaseModel):
    value: float
    unit: str
    normal: tuple[float, float] | None = Field(description="lower and upper end of the usual range")
    flag: Literal["low", "normal", "high", "unknown"] = "unknown"


class BloodCount(BaseModel):
    taken_at: dt.datetime
    haemoglobin: Measured
    leukocytes: Measured
    platelets: Measured
    glucose: Measured | None
    others: dict[str, Measured] = {}


# Records within a record that comes twice.
class Player(BaseModel):
    name: str
    number: Annotated[int, Field(ge=1, le=99)]
    position: Literal["goalkeeper", "defender", "midfielder", "forward"]


class Team(BaseModel):
    name: str
    captain: Player
    players: Annotated[list[Player], Field(min_length=11, max_length=25)]


class Goal(BaseModel):
    minute: Annotated[int, Field(ge=1, le=120)]
    scorer: Player
    assist: Player | None
    own_goal: bool = False


class Game(BaseModel):
    home: Team
    away: Team
    goals: list[Goal]
    attendance: int | None
