"""Plain values, numbers, text, times, formats and choices of pydantic, one by one."""

# The older spellings of types are features as well:
# ruff: noqa: UP045, PYI061

import datetime as dt
import decimal
import enum
import ipaddress
import pathlib
import re
import uuid
from typing import (
    Annotated,
    Any,
    Literal,
    Optional,
)

import annotated_types
import pydantic
from _decode_feature import feature, text
from pydantic import BaseModel, ConfigDict, Field, RootModel

# Plain values
feature("str", str, text("", "a", "é\\n\\u0001", "😀"), ["1", "null", "[]", '"a', '"\x01"'])
feature("int", int, ["0", "-1", "12345678901234567890123"], ["1.5", '"1"', "true", "null"])
feature("float", float, ["0", "-1.5", "1e300", "1e-7", "1E+5", "-0.0"], ['"1"', "true", "null", "1."])
feature("bool", bool, ["true", "false"], ["1", '"true"', "null"])
feature("None in a union", Optional[int], ["null", "1"], ['""', "1.5"])
feature("Any", Any, ["1", '{"a":[null]}', '"x"'], ["{", "tru"], unsaid=True)
feature("object with free values", dict[str, Any], ["{}", '{"a":[1,{"b":null}]}'], ["[]", "1"], unsaid=True)

# Numbers under constraints
feature("int ge le", Annotated[int, Field(ge=-3, le=20)], ["-3", "0", "20"], ["-4", "21", "1.5"])
feature("int gt lt", Annotated[int, Field(gt=0, lt=100)], ["1", "99"], ["0", "100", "-1"])
feature("int multiple_of", Annotated[int, Field(multiple_of=7)], ["0", "14", "-7"], ["1", "15"])
feature(
    "int multiple_of in a range",
    Annotated[int, Field(multiple_of=5, ge=10, le=50)],
    ["10", "50"],
    ["5", "12"],
)
feature(
    "int multiple_of a large number", Annotated[int, Field(multiple_of=1_000_003)], ["1000003"], ["1000004"]
)
feature(
    "int beyond 64 bits", Annotated[int, Field(ge=10**30)], [str(10**30), str(10**31)], [str(10**30 - 1), "5"]
)
feature("int near 2**53", Annotated[int, Field(ge=2**53 + 1)], [str(2**53 + 1)], [str(2**53), "0"])
feature("PositiveInt", pydantic.PositiveInt, ["1"], ["0", "-1"])
feature("NonPositiveInt", pydantic.NonPositiveInt, ["0", "-5"], ["1"])
feature(
    "float ge le", Annotated[float, Field(ge=0, le=1)], ["0", "1", "0.5", "1e-7", "1.0"], ["-0.1", "1.1", "2"]
)
feature("float gt", Annotated[float, Field(gt=0)], ["0.1", "1e20", "5e-324"], ["0", "-1"])
feature(
    "float multiple_of a tenth",
    Annotated[float, Field(multiple_of=0.5)],
    ["0.5", "2.0", "3"],
    ["0.25", "1.1"],
)
feature("float multiple_of a whole", Annotated[float, Field(multiple_of=3)], ["3.0", "6"], ["1.0", "2"])
feature("float with huge bounds", Annotated[float, Field(ge=-1e300, le=1e300)], ["0", "1e299"], ["1e301"])
feature("float with tiny bounds", Annotated[float, Field(gt=1e-300)], ["1.0", "1e-10"], ["0", "-1"])
feature("FiniteFloat", pydantic.FiniteFloat, ["1.5", "1e10"], ['"inf"', "null"])
feature("Decimal", decimal.Decimal, ['"1.50"', "1.5", '"-0"', "3", '"1e5"'], ['"a"', "null", '""', '"1.5.2"'])
feature(
    "Decimal with digits",
    Annotated[decimal.Decimal, Field(max_digits=5, decimal_places=2)],
    ['"123.45"', '"0.5"', "1.5"],
    ['"1234.567"', '"123456"'],
)
feature(
    "Decimal ge",
    Annotated[decimal.Decimal, Field(ge=0, lt=10)],
    ['"0"', '"9.99"', "5"],
    ['"10"', '"-1"', "10"],
)

# Text under constraints
feature(
    "str lengths",
    Annotated[str, Field(min_length=2, max_length=4)],
    text("ab", "éééé", "😀😀"),
    text("a", "abcde"),
)
feature("str min_length", Annotated[str, Field(min_length=1)], text("a"), text(""))
feature("str huge max_length", Annotated[str, Field(max_length=50_000_000)], text("a"), ["1"])
feature(
    "pattern",
    Annotated[str, Field(pattern="^[a-z]+-[0-9]{3}$")],
    text("ab-123"),
    text("ab-12", "AB-123", "ab-123x"),
)
feature("pattern without anchors", Annotated[str, Field(pattern="b+")], text("abc", "b"), text("ac", ""))
feature("pattern with one anchor", Annotated[str, Field(pattern="^ab")], text("abc", "ab"), text("xab"))
feature(
    "pattern with alternatives", Annotated[str, Field(pattern="^a$|^bc$")], text("a", "bc"), text("ab", "abc")
)
feature(
    "pattern of letters",
    Annotated[str, Field(pattern=r"^\w+ \d+$")],
    text("José 12", "a_b 1"),
    text("a-b 1", "a b"),
)
feature("pattern without case", Annotated[str, Field(pattern="(?i)^ok$")], text("OK", "ok"), text("no"))
feature(
    "pattern of Unicode classes",
    Annotated[str, Field(pattern=r"^\p{Lu}\p{Ll}+$")],
    text("Émile"),
    text("émile", "X1"),
)
feature(
    "pattern and lengths",
    Annotated[str, Field(pattern="^[a-z]*$", min_length=2, max_length=4)],
    text("ab", "abcd"),
    text("a", "abcde", "AB"),
)
feature(
    "pattern and lengths, large",
    Annotated[str, Field(pattern="^.*a.{20}$", min_length=25, max_length=1000)],
    text("x" * 9 + "a" + "b" * 20),
    text("a" + "b" * 20, "b" * 30),
)


class LookAhead(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")
    password: Annotated[str, Field(pattern=r"^(?=.*\d)(?!.*\s)\w{4,}$")]


feature(
    "pattern with look-around",
    LookAhead,
    ['{"password":"abc1"}'],
    ['{"password":"abcd"}', '{"password":"a 1b"}'],
)
feature("compiled pattern", Annotated[str, Field(pattern=re.compile("^x.y$"))], text("xay"), text("xy"))
feature(
    "strip and lower",
    Annotated[str, pydantic.StringConstraints(to_lower=True, max_length=3)],
    text("ABC"),
    text("abcd"),
)
feature("annotated_types", Annotated[str, annotated_types.Len(1, 3)], text("abc"), text("", "abcd"))

# Times
feature(
    "datetime",
    dt.datetime,
    text(
        "2024-01-31T10:00:00", "2024-01-31T10:00:00Z", "2024-01-31T10:00:00.123456", "2024-01-31 10:00:00",
        "2024-01-31T10:00:00.5+01:00", "2024-01-31T10:00", "2024-02-29T23:59:59-0530",
    ),
    [*text("2024-01-31", "2024-13-01T00:00:00", "2023-02-29T00:00:00", "2024-01-31T25:00:00", "soon"), "17"],
)  # fmt: skip
feature(
    "AwareDatetime",
    pydantic.AwareDatetime,
    text("2024-01-31T10:00:00Z", "2024-01-31T10:00:00+02:00"),
    text("2024-01-31T10:00:00"),
)
feature("NaiveDatetime", pydantic.NaiveDatetime, text("2024-01-31T10:00:00"), text("2024-01-31T10:00:00Z"))
feature("PastDate", pydantic.PastDate, text("2001-01-31"), text("9001-01-31", "2001-1-1"))
feature(
    "date",
    dt.date,
    text("2024-02-29", "0001-01-01", "9999-12-31"),
    text("2023-02-29", "2024-1-1", "24-01-01", "20240101"),
)
feature("date ge", Annotated[dt.date, Field(ge=dt.date(2020, 1, 1))], text("2020-01-01"), text("2019-12-31"))
feature(
    "time",
    dt.time,
    text("10:00", "23:59:59", "10:00:00.25", "10:00:00Z", "10:00:00+01:00"),
    text("24:00:00", "10", "10:60"),
)
feature(
    "timedelta",
    dt.timedelta,
    text(
        "P1D",
        "PT1H30M",
        "PT0.5S",
        "-P1DT2H",
        "P1DT2H3M4.5S",
        "P2W",
        "PT36H",
        "P1Y2M",
        "01:30:00",
        "3 days, 00:00:10",
    ),
    [*text("P", "1 hour", "PT", "later"), "60"],
)
feature(
    "timedelta as seconds",
    RootModel[Annotated[dt.timedelta, Field(ge=dt.timedelta(0))]],
    text("PT1S"),
    text("-PT1S"),
)

# Text with a format
feature(
    "UUID",
    uuid.UUID,
    text("123e4567-e89b-12d3-a456-426614174000", "123E4567E89B12D3A456426614174000"),
    text("123e4567", "x"),
)
feature(
    "UUID4",
    pydantic.UUID4,
    text("9b2d8b0e-3f4c-4a1b-8c2d-1e2f3a4b5c6d"),
    text("123e4567-e89b-12d3-a456-426614174000"),
)
feature(
    "UUID1",
    pydantic.UUID1,
    text("123e4567-e89b-12d3-a456-426614174000"),
    text("9b2d8b0e-3f4c-4a1b-8c2d-1e2f3a4b5c6d"),
)
feature(
    "AnyUrl",
    pydantic.AnyUrl,
    text("https://a.b/c?d=é#f", "mailto:a@b.co", "file:///x"),
    text("a", "//a", "http://exa mple.com"),
)
feature(
    "HttpUrl",
    pydantic.HttpUrl,
    text("http://a.co", "https://user@bücher.example:8080/x"),
    text("ftp://a.co", "a.co", ""),
)
feature(
    "PostgresDsn", pydantic.PostgresDsn, text("postgres://u:p@a:5432,b:5433/db"), text("mysql://a/b", "x")
)
feature(
    "EmailStr",
    pydantic.EmailStr,
    text("a.b+c@d-e.co", "jörg@bücher.example"),
    text("a@b", "a", "@b.co", "a b@c.co"),
)
feature("NameEmail", pydantic.NameEmail, text("A B <a@b.co>"), text("A B <a>"))
feature(
    "IPv4Address",
    ipaddress.IPv4Address,
    text("0.0.0.0", "255.1.20.3"),
    text("256.1.1.1", "1.2.3", "01.2.3.4"),
)
feature(
    "IPv6Address",
    ipaddress.IPv6Address,
    text("::", "2001:db8::1", "::ffff:1.2.3.4"),
    text("1::2::3", "g::", ""),
)
feature("IPvAnyAddress", pydantic.IPvAnyAddress, text("1.2.3.4", "::1"), text("1.2.3", "x"))
feature("IPv4Network", ipaddress.IPv4Network, text("10.0.0.0/8"), text("10.0.0.1/8", "10.0.0.0/33"))
feature("Path", pathlib.Path, text("/tmp/é x", "a"), ["1", "null"])
feature("bytes", bytes, text("abc", "é"), ["1", "null"], unsaid=True)
feature("SecretStr", pydantic.SecretStr, text("x"), ["1"])
feature("Json", pydantic.Json[list[int]], text("[1,2]"), [*text("[1,", "{}"), "[1]"], unsaid=True)
feature("Base64Str", pydantic.Base64Str, text("aGk="), ["1", '"a"'])


# Choices
class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    TEXT = "a"
    NUMBER = 2
    RATIO = 1.5


class Name(enum.StrEnum):
    A = "a b"
    B = 'quote"\n\x7f'


feature("Enum", Color, text("red"), [*text("RED", "green"), "1"])
feature("IntEnum", Level, ["1", "2"], ["3", '"1"', "1.5"])
feature("Enum of mixed values", Mixed, ['"a"', "2", "1.5"], ['"2"', "1", '"b"'])
feature("StrEnum with odd text", Name, ['"a b"', '"quote\\"\\n\\u007f"'], text("a", "A"))
feature("Enum of one", enum.Enum("One", {"X": "x"}), text("x"), text("y"))
feature("Literal mixed", Literal["a", 1, True, None], ['"a"', "1", "true", "null"], ['"b"', "2", "false"])
feature(
    "Literal of large numbers",
    Literal[9007199254740993, 9007199254740995],
    ["9007199254740993"],
    ["9007199254740992"],
)
feature(
    "Literal of 500",
    Literal[tuple(f"option {i}" for i in range(500))],
    text("option 499"),
    text("option 500"),
)
