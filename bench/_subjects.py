"""What the benchmarks ask for: each schema with an answer of usual length."""

# ruff: noqa: E501 -- an answer reads better in few lines

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from _schemas import (
    Address,
    Amount,
    Article,
    BloodCount,
    Booking,
    Budget,
    Customer,
    Finding,
    Formula,
    Game,
    Goal,
    Lease,
    Measured,
    Message,
    Negation,
    Number,
    Order,
    OrderLine,
    Page,
    Paragraph,
    Party,
    Person,
    Picture,
    Plan,
    Player,
    Position,
    Route,
    Section,
    Severity,
    Step,
    Sum,
    Table,
    Team,
    Timetable,
)
from pydantic import HttpUrl


@dataclass(frozen=True)
class Subject:
    """A type and a value of it."""

    name: str
    type: Any
    answer: Any


_ADDRESS = Address(street="Long Lane 12", postcode="4051", city="Basel", country="CH")
_AMOUNTS = [
    Amount(value=Decimal(value), currency="EUR", tax_included=True) for value in ("1200.50", "980", "77.10")
]
_PARTS = [
    Section(f"{n}. Part", "What it is about, in a sentence.", (n * 10, n * 10 + 9), []) for n in range(1, 5)
]
_MEASURED = Measured(value=13.2, unit="g/dl", normal=(12.0, 16.0), flag="normal")
_PLAYERS = [Player(name=f"Player {n}", number=n, position="defender") for n in range(1, 12)]

SUBJECTS = (
    Subject("message", Message, Message("delivery", True, "en", "The parcel is late and the gift is due on Friday.")),
    Subject(
        "order",
        Order,
        Order(
            number=20417,
            customer=Customer(
                name="City Library", email="books@example.org", birthday=None, billing_address=_ADDRESS
            ),
            lines=[
                OrderLine(article=f"B-{n:04}", quantity=n, price=Decimal(f"{n}9.90")) for n in range(1, 6)
            ],
            express=True,
            note="Please ring twice.",
        ),
    ),
    Subject(
        "budget",
        Budget,
        Budget(
            planned=_AMOUNTS[0],
            approved=None,
            spent=_AMOUNTS[1],
            open_items=_AMOUNTS,
            by_department={"sales": _AMOUNTS[0], "support": _AMOUNTS[2]},
        ),
    ),
    Subject(
        "article",
        Article,
        Article(
            title="Rivers in winter",
            published=dt.datetime(2024, 2, 3, 8, 30, tzinfo=dt.UTC),
            blocks=[
                Paragraph(kind="paragraph", text="The ice came early this year, and stayed. " * 6),
                Picture(kind="picture", url=HttpUrl("https://example.org/ice.jpg"), caption="Ice at the weir"),
                Table(kind="table", header=["day", "level"], rows=[["Mon", 1.25], ["Tue", None], ["Wed", 1.5]]),
            ],
        ),
    ),
    Subject("section", Section, Section("Report", "All of it.", (1, 60), [Section("0. Front", "-", (1, 9), _PARTS)])),
    Subject(
        "findings",
        list[Finding],
        [
            Finding("SEC-104", Severity.HIGH, 0.9, (12, 18), {"injection", "sql"}, {"a.py": "execute(query, args)"}),
            Finding("STY-007", Severity.LOW, 0.35, (1, 1), set(), {}),
        ],
    ),
    Subject(
        "booking",
        Booking,
        Booking(
            id=uuid.UUID("c0ffee00-1111-4222-8333-444455556666"),
            guest="guest@example.org",
            arrives=dt.date(2024, 7, 1),
            check_in=dt.time(15, 30),
            booked_at=dt.datetime(2024, 5, 1, 10, 11, 12, tzinfo=dt.UTC),
            stays=dt.timedelta(days=5),
            price=Decimal("612.40"),
        ),
    ),
    Subject(
        "timetable",
        Timetable,
        Timetable(
            station="Harbour",
            departures={name: [dt.time(hour, 7) for hour in range(6, 22, 3)] for name in ("North", "East", "Airport")},
            platforms={1: "tram", 2: "ferry"},
            remarks=[{"en": "No service on holidays", "de": "An Feiertagen kein Betrieb"}],
        ),
    ),
    Subject(
        "route",
        Route,
        {
            "name": "Ridge walk",
            "start": Position(46.5, 8.1),
            "waypoints": [{"name": f"Cairn {n}", "at": (46.5 + n / 100, 8.1), "height_m": 1800.0} for n in range(6)],
            "distance_km": 14.2,
        },
    ),
    Subject(
        "page",
        Page[Person],
        Page[Person](
            items=[Person(name=name, role="author") for name in ("Jane Austen", "Mary Shelley", "George Eliot")],
            total=3,
            next_cursor=None,
        ),
    ),
    Subject(
        "lease",
        Lease,
        Lease(
            tenant=Party(name="Reading Circle North", address="Mill Street 4"),
            landlord=Party(name="Municipal Housing Office", address=None, represented_by="the registry"),
            guarantor=None,
            premises="Mill Street 4, second floor",
            begins=dt.date(2024, 1, 1),
            ends=None,
            rent=940.0,
            heating=120.0,
            deposit_months=2,
            pets="on request",
            clauses=["The tenant waters the plants in the stairwell.", "No drums after eight in the evening."],
        ),
    ),
    Subject(
        "formula",
        Formula,
        Formula(
            name="mean",
            expression=Sum(
                op="multiply",
                terms=[
                    Number(op="number", value=0.5),
                    Sum(op="add", terms=[Number(op="number", value=3), Negation(op="negate", term=Number(op="number", value=1))]),
                ],
            ),
            variables={"x": 1.5},
        ),
    ),
    Subject(
        "plan",
        Plan,
        Plan(
            goal="Find out whether the bridge is open on Sunday",
            assumptions=["The town's site is up to date"],
            steps=[
                Step(reasoning="The town publishes closures.", tool="search", argument="bridge closure", effort=1),
                Step(reasoning="The notice has the dates.", tool="read_page", argument="notice", depends_on=[1], effort=2),
            ],
            confidence=0.8,
        ),
    ),
    Subject(
        "blood count",
        BloodCount,
        BloodCount(
            taken_at=dt.datetime(2024, 6, 3, 7, 45, tzinfo=dt.UTC),
            haemoglobin=_MEASURED,
            leukocytes=_MEASURED,
            platelets=_MEASURED,
            glucose=None,
            others={"ferritin": _MEASURED},
        ),
    ),
    Subject(
        "game",
        Game,
        Game(
            home=Team(name="North", captain=_PLAYERS[0], players=_PLAYERS),
            away=Team(name="South", captain=_PLAYERS[4], players=_PLAYERS),
            goals=[Goal(minute=30, scorer=_PLAYERS[10], assist=None)],
            attendance=1200,
        ),
    ),
)  # fmt: skip
