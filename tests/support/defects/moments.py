"""Dates, times, durations, addresses and identifiers in the spellings of people, and where those are ambiguous."""

# ruff: noqa: E501 -- an answer is not broken over lines, and its odd characters are the point

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from pydantic import EmailStr, HttpUrl

from support.defects.case import REFUSED, Case
from support.defects.subjects import Contact, Page

_DAY = dt.date(2024, 3, 5)
_MOMENT = dt.datetime(2024, 3, 5, 14, 30)
_UTC = _MOMENT.replace(tzinfo=dt.UTC)
_ID = uuid.UUID("c0ffee00-1111-4222-8333-444455556666")


def _date(name: str, written: str, value: Any = _DAY) -> Case:
    return Case(name, dt.date, written, value)


def _born(name: str, written: str, day: Any) -> Case:
    raw = f'{{"full_name": "A", "email": "a@example.org", "phone_number": null, "birth_date": {written}}}'
    value = Contact(full_name="A", email="a@example.org", phone_number=None, birth_date=_DAY)
    return Case(
        name, Contact, raw, REFUSED if day is REFUSED else value.model_copy(update={"birth_date": day})
    )


def _time(name: str, written: str, value: Any) -> Case:
    return Case(name, dt.time, written, value)


def _moment(name: str, written: str, value: Any) -> Case:
    return Case(name, dt.datetime, written, value)


def _lasting(name: str, written: str, value: Any) -> Case:
    return Case(name, dt.timedelta, written, value)


DATES = (
    _date("a date, clean", '"2024-03-05"'),
    _date("a date without quotes", "2024-03-05"),
    _date("a date with slashes, year first", '"2024/03/05"'),
    _date("a date with dots, year first", '"2024.03.05"'),
    _date("a date without noughts", '"2024-3-5"'),
    _date("a date with the month's name", '"March 5, 2024"'),
    _date("a date with the month's short name", '"Mar 5, 2024"'),
    _date("a date with the day first and the month's name", '"5 March 2024"'),
    _date("a date with an ordinal", '"March 5th, 2024"'),
    _date("a date with a weekday", '"Tuesday, March 5, 2024"'),
    _date("a date in hyphens with the month's name", '"05-Mar-2024"'),
    _date("a date at midnight", '"2024-03-05T00:00:00"'),
    _date("a compact date", '"20240305"'),
    _date("a day that can be no month", '"25/12/2024"', dt.date(2024, 12, 25)),
    _date("a month that can be no day", '"12/25/2024"', dt.date(2024, 12, 25)),
    _date("a date either way round, the same", '"05/05/2024"', dt.date(2024, 5, 5)),
    _date("day or month first", '"03/04/2024"', REFUSED),
    _date("day or month first, with dots", '"03.04.2024"', REFUSED),
    _date("a date of two digits a part", '"03/04/05"', REFUSED),
    _date("a day that February lacks", '"2024-02-30"', REFUSED),
    _date("a thirteenth month", '"2024-13-01"', REFUSED),
    _date("a month alone", '"2024-03"', REFUSED),
    _date("a year alone", '"2024"', REFUSED),
    _date("a year as a number", "2024", REFUSED),
    _date("a day in words", '"tomorrow"', REFUSED),
    _date("a date that is none", '"unknown"', REFUSED),
    _date("a date with an hour that would be lost", '"2024-03-05T14:30:00"', REFUSED),
    _date("two dates", '"2024-03-05 or 2024-03-06"', REFUSED),
    _born("a date with slashes in a record", '"1815/12/10"', dt.date(1815, 12, 10)),
    _born("a date without quotes in a record", "1815-12-10", dt.date(1815, 12, 10)),
    _born("a date with the month's name in a record", '"December 10, 1815"', dt.date(1815, 12, 10)),
    _born("an ambiguous date in a record", '"10/12/1815"', REFUSED),
)

TIMES = (
    _time("an hour of the afternoon", '"2:30 PM"', dt.time(14, 30)),
    _time("an hour of the afternoon, small", '"2:30pm"', dt.time(14, 30)),
    _time("midnight on twelve hours", '"12:05 AM"', dt.time(0, 5)),
    _time("an hour alone", '"9 AM"', dt.time(9)),
    _time("a time without its leading nought", '"9:05"', dt.time(9, 5)),
    _time("an hour that is none", '"25:10"', REFUSED),
    _time("a time of day in words", '"noonish"', REFUSED),
    _time("a number for a time", "1430", REFUSED),
    _moment("a moment with a space", '"2024-03-05 14:30"', _MOMENT),
    _moment("a moment with a space and a zone", '"2024-03-05 14:30:00Z"', _UTC),
    _moment("a moment with slashes", '"2024/03/05 14:30:00"', _MOMENT),
    _moment("a moment in words", '"March 5, 2024 2:30 PM"', _MOMENT),
    _moment("a moment with UTC spelled out", '"2024-03-05 14:30:00 UTC"', _UTC),
    _moment("a moment without quotes", "2024-03-05T14:30:00", _MOMENT),
    _moment("a moment that may be two", '"03/04/2024 14:30"', REFUSED),
    _moment("a moment with no date", '"14:30"', REFUSED),
    _lasting("a duration, clean", '"PT1H30M"', dt.timedelta(minutes=90)),
    _lasting("a duration with units", '"1h 30m"', dt.timedelta(minutes=90)),
    _lasting("a duration in words", '"90 minutes"', dt.timedelta(minutes=90)),
    _lasting("a duration in two words", '"1 hour 30 minutes"', dt.timedelta(minutes=90)),
    _lasting("a duration by the clock", '"01:30:00"', dt.timedelta(minutes=90)),
    _lasting("hours and minutes, or minutes and seconds", '"1:30"', REFUSED),
    _lasting("a duration in no unit", '"a while"', REFUSED),
    _lasting("two durations", '"1h or 2h"', REFUSED),
)

IDENTIFIERS = (
    Case("an identifier in capitals", uuid.UUID, '"C0FFEE00-1111-4222-8333-444455556666"', _ID),
    Case("an identifier without hyphens", uuid.UUID, '"c0ffee00111142228333444455556666"', _ID),
    Case("an identifier in braces", uuid.UUID, '"{c0ffee00-1111-4222-8333-444455556666}"', _ID),
    Case("an identifier without quotes", uuid.UUID, "c0ffee00-1111-4222-8333-444455556666", _ID),
    Case("an identifier that is too short", uuid.UUID, '"c0ffee00-1111-4222-8333"', REFUSED),
    Case("an address as a link of Markdown", Page, '{"url": "[home](https://example.org/a)", "heading": "Home", "links": 3}', Page(url=HttpUrl("https://example.org/a"), heading="Home", links=3)),
    Case("an address in angle brackets", Page, '{"url": "<https://example.org/a>", "heading": "Home", "links": "3"}', Page(url=HttpUrl("https://example.org/a"), heading="Home", links=3)),
    Case("an address with a comment after", Page, '{"url": "https://example.org/a", // home\n "heading": "Home", "links": 3}', Page(url=HttpUrl("https://example.org/a"), heading="Home", links=3)),
    Case("an address without quotes", Page, "{url: https://example.org/a, heading: Home, links: 3}", Page(url=HttpUrl("https://example.org/a"), heading="Home", links=3)),
    Case("no address", Page, '{"url": "none", "heading": "Home", "links": 3}', REFUSED),
    Case("a mailbox with its scheme", EmailStr, '"mailto:ada@example.org"', "ada@example.org"),
    Case("no mailbox", EmailStr, '"ada at example"', REFUSED),
)  # fmt: skip

CASES = (*DATES, *TIMES, *IDENTIFIERS)
