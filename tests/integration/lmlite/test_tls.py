"""Local replicas over HTTPS: the certificate that a replica was started with is the only one that counts."""

import urllib.error
import urllib.request

import pytest
import trustme

CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}


@pytest.fixture
def certify(tmp_path, monkeypatch):
    """Puts a new certificate, and its key, into force; returns the authority that signed it."""

    def make():
        authority = trustme.CA()
        issued = authority.issue_cert("somewhere.example")
        for variable, pem in (
            ("CONDUIT_TLS_CERTIFICATE", issued.cert_chain_pems[0]),
            ("CONDUIT_TLS_KEY", issued.private_key_pem),
        ):
            path = tmp_path / f"{variable}.pem"
            pem.write_to_path(path)
            monkeypatch.setenv(variable, str(path))
        return authority

    return make


def test_calls_go_over_https_to_a_certificate_that_no_system_knows(deploy, certify):
    certify()
    with deploy() as lm:
        [endpoint] = lm.endpoints
        assert endpoint.url.startswith("https://127.0.0.1:")
        text = lm(**CHAT)
        assert "".join(lm.stream(**CHAT)) == text
        assert lm.health().ready
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(f"{endpoint.url}/models", timeout=10)
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(f"http{endpoint.url.removeprefix('https')}/models", timeout=10)


def test_a_renewed_certificate_leaves_running_replicas_reachable(deploy, certify):
    certify()
    with deploy() as lm:
        text = lm(**CHAT)
        [before] = lm.health().replicas
        certify()
        other = deploy()
        assert other(**CHAT) == text
        assert [replica.node_id for replica in other.health().replicas] == [before.node_id]


def test_a_replica_over_plain_http_is_not_taken_for_one_over_https(deploy, certify):
    with deploy() as plain:
        plain(**CHAT)
        certify()
        with deploy() as secure:
            secure(**CHAT)
            assert secure.health().key != plain.health().key
            assert secure.endpoints[0].url.startswith("https://")
