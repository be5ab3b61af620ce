"""HTTPS from a certificate and a key on disk, both proven to work before the server listens."""

from __future__ import annotations

import ssl
from pathlib import Path

from gpu_server.settings import SettingsError


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the server's side of TLS, version 1.2 or later.

    Args:
        certificate: PEM; the server's own first, then those that lead to its root.
        key: PEM, without a passphrase.

    Raises:
        SettingsError: A file cannot be read or used, they do not belong together, or the certificate has expired.
    """
    for name, path in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{name}: cannot read {path}: {error.strerror or error}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _Passphrase:
        raise SettingsError(f"tls_key: {key} has a passphrase; give a key without one") from None
    except ssl.SSLError as error:
        raise SettingsError(_why_not(certificate, key, error)) from error
    if (fault := _fault(context, certificate)) is not None:
        raise SettingsError(f"tls_certificate: {certificate} cannot be used: {fault}")
    return context


class _Passphrase(Exception):
    pass


def _no_passphrase() -> str:
    raise _Passphrase  # otherwise OpenSSL would ask on the terminal


def _why_not(certificate: Path, key: Path, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"tls_key: {key} is not the key of tls_certificate {certificate}"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        return f"tls_certificate: {certificate} is no certificate in PEM form"
    return f"tls_key: {key} is no private key in PEM form"


def _fault(context: ssl.SSLContext, certificate: Path) -> str | None:
    """Return why a caller that trusts this very certificate would refuse it, or None: by shaking hands with it."""
    caller = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    caller.check_hostname = False
    caller.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    caller.load_verify_locations(certificate)
    to_server, to_caller = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        caller.wrap_bio(to_caller, to_server),
        context.wrap_bio(to_server, to_caller, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            except ssl.SSLError as error:
                return error.reason or str(error)
    return None
