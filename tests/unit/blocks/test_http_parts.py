import datetime as dt
import email.utils
import math

import pytest
from pydantic import TypeAdapter

from conduit.blocks import HttpResponse, http_get, http_post
from conduit.blocks.http_exchange import _retry_after_s, shown
from conduit.errors import BlockInputError, HttpError


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "file:///etc/passwd",
        "example.org",
        "",
        "http://",
        "http://[",
        "http://a b",
        "http://x:99999",
    ],
)
def test_only_whole_http_addresses_are_used(url):
    with pytest.raises(HttpError):
        http_get(url, retries=0)


@pytest.mark.parametrize(
    "limits", [{"timeout_s": 0}, {"timeout_s": math.nan}, {"max_bytes": -1}, {"retries": -1}]
)
def test_limits_out_of_range_are_refused(limits):
    with pytest.raises(HttpError, match="timeout_s"):
        http_get("http://127.0.0.1:1/", **limits)


def test_wrong_argument_types_are_refused():
    with pytest.raises(BlockInputError):
        http_get(7)


def test_messages_and_errors_never_show_a_password():
    assert shown("https://user:secret@host/a@b") == "https://host/a@b"
    with pytest.raises(HttpError) as caught:
        http_get("http://user:secret@127.0.0.1:1/", retries=0)
    assert "secret" not in str(caught.value)
    assert "secret" not in str(caught.value.url)


@pytest.mark.parametrize("body", [{"x": math.nan}, {"x": object()}])
def test_a_body_that_json_cannot_say_is_refused(body):
    with pytest.raises(HttpError, match="cannot be JSON"):
        http_post("http://127.0.0.1:1/", json=body)


def test_two_bodies_are_refused():
    with pytest.raises(HttpError, match="json, content"):
        http_post("http://127.0.0.1:1/", json={}, content="x")


def test_retry_after_is_read_as_seconds_and_as_a_date():
    assert _retry_after_s("7") == 7
    assert _retry_after_s(None) is None
    assert _retry_after_s("soon") is None
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    assert 25 < _retry_after_s(email.utils.format_datetime(moment, usegmt=True)) <= 30
    assert _retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_a_response_survives_a_json_store_whatever_its_bytes():
    response = HttpResponse("http://x/", 200, {"a": "b"}, b"\xff\x00", "\ufffd\0")
    adapter = TypeAdapter(HttpResponse)
    assert adapter.validate_json(adapter.dump_json(response)) == response


def test_an_answer_that_is_no_json_says_where():
    with pytest.raises(HttpError, match=r"text/html.*line 1 column 1"):
        HttpResponse("http://x/", 200, {"content-type": "text/html"}, b"<html>", "<html>").json()
