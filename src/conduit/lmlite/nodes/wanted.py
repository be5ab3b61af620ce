"""Which deployments the live LMLite objects of this process want, for garbage collection.

Objects are held weakly: one that the program has dropped, or replaced by another of the same name, wants nothing.
"""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Protocol

from conduit.errors import ModelNotFound
from conduit.lmlite.config import ResourceConfig
from conduit.settings import Settings


class Wanting(Protocol):
    """An LMLite, as far as this module knows it."""

    @property
    def config(self) -> ResourceConfig:
        """What it wants."""
        ...

    @property
    def settings(self) -> Settings:
        """Where it wants it."""
        ...


_lock = threading.RLock()
_live: weakref.WeakSet[Wanting] = weakref.WeakSet()
_named: weakref.WeakValueDictionary[str, Wanting] = weakref.WeakValueDictionary()


def want(resource: Wanting) -> None:
    """From now on the resource wants its deployment; an older one of the same name no longer does."""
    with _lock:
        if (name := resource.config.name) is not None:
            older = _named.get(name)
            if older is not None and older is not resource:
                _live.discard(older)
            _named[name] = resource
        _live.add(resource)


def forgo(resource: Wanting) -> None:
    """The resource does not want its deployment any more."""
    with _lock:
        _live.discard(resource)


def keys(settings: Settings, owner: str) -> set[str]:
    """Keys of the deployments that live objects want in these settings' records.

    Args:
        settings: Whose records.
        owner: The data folder's owner.
    """
    from conduit.lmlite.nodes.deployment import deployment_key

    gc.collect()  # what the program has dropped may still hang in a reference cycle
    with _lock:
        resources = list(_live)
    found = set()
    for resource in resources:
        if resource.settings.database_url == settings.database_url:
            try:
                found.add(deployment_key(resource.config, resource.settings, owner))
            except ModelNotFound:
                continue  # it can have no deployment
    return found
