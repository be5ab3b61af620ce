"""Which provider this machine is from. Its key is taken out of the environment: no engine learns it."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping

from pydantic import SecretStr

from gpu_server.host.base import Host
from gpu_server.host.runpod import RunPodHost
from gpu_server.settings import HostApi, SettingsError

_ID = re.compile(r"[\w.-]{1,128}")


def host_of(api: HostApi | None, environment: MutableMapping[str, str] = os.environ) -> Host | None:
    """Return this machine; None when the configuration names no API.

    Raises:
        SettingsError: The environment has no id of it, or no key.
    """
    if api is None:
        return None
    host_id, key = environment.get(api.id_variable, ""), environment.pop(api.key_variable, "")
    if not _ID.fullmatch(host_id):
        raise SettingsError(f"host_api: the environment variable {api.id_variable} names no machine")
    if not key:
        raise SettingsError(f"host_api: the environment variable {api.key_variable} has no key")
    return RunPodHost(api.url, host_id, SecretStr(key))  # the one kind that there is
