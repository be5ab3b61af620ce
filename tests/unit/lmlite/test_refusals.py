"""Who said no: the server itself, or a proxy on the way that does not reach it."""

import json

import pytest

from conduit.errors import ModelNotFound, NoReplica, ReplicaLost, RequestRefused
from conduit.lmlite.replicas.refusals import by_proxy, refusal

PAGE = b"<!DOCTYPE html><title>Bad gateway</title>"
OWN = json.dumps({"error": {"message": "no such route", "code": "not_found"}}).encode()


def error_of(status, body):
    return refusal(status, body, {}, model_id="m", replica="n1")


PAGES = pytest.mark.parametrize(
    "body",
    [PAGE, b"", b"[]", b'"gone"', b'{"error": {}}', b'{"detail": "Not Found"}'],
)


@pytest.mark.parametrize("status", [502, 504, 520, 524, 530])
@PAGES
def test_a_proxys_word_says_that_the_replica_is_not_reached(status, body):
    assert by_proxy(status, body)
    error = error_of(status, body)
    assert isinstance(error, ReplicaLost)
    assert (error.replica, error.model_id) == ("n1", "m")
    assert f"said {status}" in error.message


@PAGES
def test_a_proxy_that_knows_no_such_server_has_handed_the_request_to_nobody(body):
    assert by_proxy(404, body)
    error = error_of(404, body)
    assert isinstance(error, NoReplica)
    assert error.retry_after_s is None, "it will not be there later either"


@pytest.mark.parametrize("status", [404, 502, 504, 520])
def test_a_servers_own_error_is_its_own(status):
    assert not by_proxy(status, OWN)
    assert type(error_of(status, OWN)) is RequestRefused


def test_a_server_that_lacks_the_model_is_not_lost():
    body = json.dumps({"error": {"message": "no m", "code": "model_not_found"}}).encode()
    assert isinstance(error_of(404, body), ModelNotFound)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 413, 429, 500, 501, 503, 519, 531])
def test_no_other_status_is_a_proxys(status):
    assert not by_proxy(status, PAGE)


def test_a_503_is_for_the_moment_whoever_says_it():
    assert isinstance(error_of(503, PAGE), NoReplica)
