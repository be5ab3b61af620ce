"""Values are stored only where asked for, without what is to be left out, and never at any length."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from conduit.errors import ConduitError
from conduit.settings import Settings, load
from conduit.store import redacted, values_kept
from conduit.store.values import REDACTED


class Person(BaseModel):
    email: str
    key: SecretStr


@dataclass
class Letter:
    sender: Person
    text: str
    at: datetime


def test_values_are_kept_only_when_both_settings_say_so():
    kept = {
        (log, values): values_kept(Settings(run_log=log, run_log_values=values))
        for log in (True, False)
        for values in (True, False)
    }
    assert [pair for pair, is_kept in kept.items() if is_kept] == [(True, True)]
    assert not values_kept(Settings())


def test_fields_go_by_name_and_texts_by_pattern_at_any_depth():
    letter = Letter(
        Person(email="a@b.example", key=SecretStr("k")), "Write to c@d.example, please", datetime.now(UTC)
    )
    found = redacted([{"letters": (letter,), "Api_Token": 7}], ["email", "(?i)token", r"\S+@\S+\b"])
    (inner,) = found[0]["letters"]
    assert inner["sender"]["email"] == REDACTED
    assert found[0]["Api_Token"] == REDACTED
    assert inner["text"] == f"Write to {REDACTED}, please"
    assert "k" not in inner["sender"]["key"]


def test_what_nothing_is_to_be_left_out_of_stays_as_it_is():
    value = {"a": [1, 2.5, None, True, "text"], "b": {"c": "ä"}}
    assert redacted(value, []) == value


@pytest.mark.parametrize(
    "value", [object(), lambda: 1, {1: 2}, b"\xff\0", float("nan"), {"s": {1, 2}}, "\ud800"]
)
def test_anything_becomes_json(value: object):
    text = json.dumps(redacted(value, ["x"]), allow_nan=False)
    assert "0x" not in text, "no address of this process"


def test_a_circle_is_told_and_not_followed():
    circle: dict[str, object] = {}
    circle["again"] = circle
    json.dumps(redacted(circle, []))


def test_a_long_value_becomes_its_beginning():
    found = redacted({"text": "x" * 100_000}, [], max_bytes=100)
    assert isinstance(found, str)
    assert found.startswith('{"text": "xxx')
    assert found.endswith("… (100012 bytes in all)")
    assert len(found) < 150


def test_what_is_to_be_left_out_is_no_part_of_the_beginning_either():
    assert "secret" not in redacted("a secret " * 10_000, ["secret"], max_bytes=50)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_text_that_a_pattern_matches_is_left(value: object):
    left = json.dumps(redacted(value, ["[a-m]"], max_bytes=10**9)).replace(REDACTED, "")
    keyless = re.sub(r'"(?:[^"\\]|\\.)*":', "", left)
    assert not re.search(r"(?<!\\)[a-m]", re.sub(r"\\u....|\\.|true|false|null", "", keyless))


def test_a_pattern_that_is_none_is_a_setting_that_does_not_parse(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONDUIT_RUN_LOG_REDACT", '["email", "("]')
    with pytest.raises(ConduitError, match=r"CONDUIT_RUN_LOG_REDACT.*'\('.*is no regular expression"):
        load()


def test_patterns_are_read_from_a_list(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONDUIT_RUN_LOG_REDACT", '["email", "(?i)token"]')
    assert load().run_log_redact == ("email", "(?i)token")
