"""Who owns the nodes: one secret in the data folder, from which the owner's tag and every node's token come.

Nothing derived from the secret is stored: a node's token is an HMAC of its id, so it can be made again at any
time and stands in no table, log or argument list.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import SecretStr

from conduit.compute.base import check_node_id
from conduit.errors import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from conduit.settings import Settings

_LOG = logging.getLogger(__name__)
_KEY_BYTES = 32


@dataclass(frozen=True)
class Owner:
    """The owner of this data folder's nodes.

    Attributes:
        id: Tag of the owner's nodes; public.
    """

    id: str
    _secret: bytes = field(repr=False)

    def token(self, node_id: str) -> SecretStr:
        """The bearer token of a node's server."""
        check_node_id(node_id)
        return SecretStr(hmac.new(self._secret, node_id.encode(), hashlib.sha256).hexdigest())


def load(settings: Settings) -> Owner:
    """Reads the owner of the data folder, and makes it at the first call.

    Raises:
        StoreUnavailable: The folder or the key file cannot be used.
    """
    path = settings.data_dir / "owner.key"
    try:
        secret = _read_or_make(path)
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be read or made: {error.strerror or error}.",
            hint="Set CONDUIT_DATA_DIR to a folder that you can write to.",
            path=str(path),
        ) from error
    if len(secret) != _KEY_BYTES:
        raise StoreUnavailable(
            f"{path} is damaged: {len(secret)} bytes of key in place of {_KEY_BYTES}.",
            hint="Delete it; a new one is made at the next start. `conduit down` ends what is left.",
            path=str(path),
        )
    return Owner(hashlib.sha256(b"conduit owner:" + secret).hexdigest()[:12], secret)


def _read_or_make(path: Path) -> bytes:
    try:
        return _read(path)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"owner.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link is made whole or not at all, and only by one of several processes that start at once.
            os.link(draft, path)
        except FileExistsError:
            _LOG.debug("another process made %s first", path)
    finally:
        draft.unlink()
    return _read(path)


def _read(path: Path) -> bytes:
    text = path.read_text()
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        _LOG.warning("%s could be read by other users; access is now yours alone", path)
        path.chmod(0o600)
    try:
        return bytes.fromhex(text.strip())
    except ValueError:
        return b""
