"""Asks a server of this machine whether it lives, for the health check of a container."""

from __future__ import annotations

import http.client
import ssl

TIMEOUT_S = 3.0


def lives(port: int) -> bool:
    """Return whether a server on that port of the loopback answers `/live` with 200, over HTTP or HTTPS."""
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    return _answers(plain) or _answers(_tls(port))


def _tls(port: int) -> http.client.HTTPSConnection:
    # No secret is sent, and what answers on the loopback is ours: its certificate names another host anyway.
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=trusting)


def _answers(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/live")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
