import json

import pytest

from conduit import errors
from conduit.lmlite.front.refusals import Refusal, refusal_of, refuse


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.Overloaded("full", retry_after_s=2.2), 429, "queue_full"),
        (errors.RequestTimeout("late", timeout_s=3), 504, "timeout"),
        (errors.ReplicaLost("gone"), 503, "engine_lost"),
        (errors.NoReplica("none"), 503, "model_not_ready"),
        (errors.NotAuthorized("401"), 502, "replica_refused"),
        (errors.DeploymentStopped("stopped"), 503, "deployment_stopped"),
        (errors.DeploymentFailed("failed"), 503, "deployment_failed"),
        (errors.ModelDoesNotFit("too large"), 503, "deployment_failed"),
        (errors.StoreUnavailable("disk"), 503, "deployment_failed"),
    ],
)
def test_each_error_has_a_status_and_a_code(error, status, code):
    refusal = refusal_of(error)
    assert (refusal.status, refusal.code) == (status, code)
    told = json.loads(refusal.body)["error"]
    assert set(told) == {"message", "type", "param", "code"}


def test_what_a_caller_reads_names_nothing_of_this_machine():
    secret = "/home/ada/.local/conduit/nodes/n1/log at http://127.0.0.1:4711"
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.ConduitError):
            if kind in (errors.ModelNotFound, errors.ArgumentInvalid):
                continue  # said by the front itself
            error = kind(secret, hint=secret)
            if isinstance(error, errors.RequestTimeout):
                error.timeout_s = 1.0
            assert b"4711" not in refusal_of(error).body, kind


def test_the_time_to_come_back_is_whole_seconds_and_never_zero():
    assert dict(refusal_of(errors.Overloaded("full", retry_after_s=2.2)).headers)[b"retry-after"] == b"3"
    assert dict(Refusal(503, "x", "y", 0.01).headers)[b"retry-after"] == b"1"
    assert b"retry-after" not in dict(Refusal(404, "x", "y").headers)


def test_a_refusal_as_bytes_is_a_whole_answer():
    head, _, body = refuse(Refusal(431, "too large", "headers_too_large")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"content-length: %d" % len(body) in head
    assert b"connection: close" in head
