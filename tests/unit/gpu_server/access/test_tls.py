"""A certificate or key that would fail later is named before the server listens."""

import datetime
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from gpu_server.access.tls import tls_context
from gpu_server.settings import ServerSettings, SettingsError

NOW = datetime.datetime.now(datetime.UTC)


def files(folder: Path, name: str = "server", **how: datetime.datetime) -> tuple[Path, Path]:
    issued = trustme.CA().issue_cert("127.0.0.1", **how)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    issued.private_key_pem.write_to_path(str(key))
    return certificate, key


def refusal(certificate: Path, key: Path) -> str:
    with pytest.raises(SettingsError) as refused:
        tls_context(certificate, key)
    return str(refused.value)


def test_a_good_pair_gives_tls_of_1_2_or_later(tmp_path) -> None:
    assert tls_context(*files(tmp_path)).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "how",
    [
        {"not_before": NOW - datetime.timedelta(days=9), "not_after": NOW - datetime.timedelta(days=1)},
        {"not_before": NOW + datetime.timedelta(days=1), "not_after": NOW + datetime.timedelta(days=9)},
    ],
    ids=["expired", "not-yet"],
)
def test_a_certificate_out_of_its_time_is_named(tmp_path, how) -> None:
    certificate, key = files(tmp_path, **how)
    said = refusal(certificate, key)
    assert str(certificate) in said
    assert "expired" in said or "not yet valid" in said


def test_a_key_of_another_certificate_is_named(tmp_path) -> None:
    certificate, _ = files(tmp_path)
    _, key = files(tmp_path, "other")
    said = refusal(certificate, key)
    assert str(certificate) in said
    assert str(key) in said
    assert "not the key" in said


@pytest.mark.parametrize(
    "broken", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"]
)
def test_files_that_are_none_are_named(tmp_path, broken: bytes) -> None:
    certificate, key = files(tmp_path)
    wrong = tmp_path / "wrong.pem"
    wrong.write_bytes(broken)
    assert f"tls_certificate: {wrong}" in refusal(wrong, key)
    assert f"tls_key: {wrong}" in refusal(certificate, wrong)


def test_missing_files_are_named(tmp_path) -> None:
    certificate, key = files(tmp_path)
    gone = tmp_path / "gone.pem"
    assert refusal(gone, key) == f"tls_certificate: cannot read {gone}: No such file or directory"
    assert refusal(certificate, gone) == f"tls_key: cannot read {gone}: No such file or directory"


def test_a_key_with_a_passphrase_is_named_and_not_asked_for(tmp_path) -> None:
    certificate, key = files(tmp_path)
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert f"{key} has a passphrase" in refusal(certificate, key)


@pytest.mark.parametrize("field", ["tls_certificate", "tls_key"])
def test_one_without_the_other_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="go together"):
        ServerSettings(models=[{"model_id": "m"}], **{field: "x.pem"})
