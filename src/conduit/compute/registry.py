"""Which providers there are: Conduit's own, and those that other distributions bring through entry points.

A provider's module is imported when it is asked for by name, never to make a list: a broken plug-in hurts only who
asks for it. A plug-in cannot take the name of one of Conduit's own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from conduit.compute.base import ComputeProvider
from conduit.compute.owner import load as load_owner
from conduit.errors import ConduitError, ProviderUnavailable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from conduit.compute.base import Provider
    from conduit.settings import Settings

ENTRY_POINTS = "conduit.providers"
"""Group of the entry points: a name, and a ``factory(settings, owner) -> Provider``."""

_OWN = {
    ComputeProvider.LOCAL: ("conduit.compute.local", "LocalProvider"),
    ComputeProvider.RUNPOD: ("conduit.compute.runpod", "RunPodProvider"),
    ComputeProvider.DOCKER: ("conduit.compute.docker", "DockerProvider"),
    ComputeProvider.SSH: ("conduit.compute.ssh", "SshProvider"),
}


def names() -> tuple[str, ...]:
    """The providers that can be named here; whether each works shows when it is used."""
    return (*ComputeProvider, *sorted({point.name for point in _plug_ins()}))


def provider(kind: ComputeProvider | str, settings: Settings) -> Provider:
    """The provider of that name, with its owner read from the data folder.

    Raises:
        ProviderUnavailable: There is no provider of that name, or its plug-in is broken.
        StoreUnavailable: The data folder cannot be used.
    """
    if kind in _OWN:
        module, name = _OWN[ComputeProvider(kind)]
        own = getattr(import_module(module), name)
        return cast("Provider", own.from_settings(settings, load_owner(settings)))
    found = [point for point in _plug_ins() if point.name == kind]
    if not found:
        raise ProviderUnavailable(
            f"There is no provider {kind!r}.",
            hint=f"There are: {', '.join(names())}. Another one comes with the distribution that brings it.",
        )
    if len(found) > 1:
        raise ProviderUnavailable(
            f"{len(found)} distributions bring a provider {kind!r}: {', '.join(map(_source, found))}.",
            hint="Uninstall all but one of them.",
        )
    try:
        made = found[0].load()(settings, load_owner(settings))
    except ConduitError:
        raise
    except Exception as error:
        raise _broken(found[0], f"{type(error).__name__} when it was loaded") from error
    _check(found[0], made)
    return cast("Provider", made)


def _plug_ins() -> list[EntryPoint]:
    # It reads what every installed distribution says of itself, and most programs name no plug-in.
    from importlib.metadata import entry_points

    return [point for point in entry_points(group=ENTRY_POINTS) if point.name not in set(ComputeProvider)]


def _check(point: EntryPoint, made: Any) -> None:
    """Refuses what would fail only in the middle of a deployment, when a machine is paid for already."""
    needed = (
        "offerings",
        "create",
        "list_owned",
        "get",
        "destroy",
        "forget",
        "endpoint",
        "logs",
        "billed_usd",
    )
    missing = [name for name in (*needed, "aclose") if not callable(getattr(made, name, None))]
    missing += [name for name in ("kind", "caps") if not hasattr(made, name)]
    if missing:
        raise _broken(point, f"it has no {', '.join(missing)}")
    if made.kind != point.name:
        raise _broken(point, f"it calls itself {made.kind!r}, so its nodes would not be found again")


def _broken(point: EntryPoint, problem: str) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"The provider {point.name!r} ({point.value}, of {_source(point)}) is broken: {problem}.",
        hint=f"Install another version of {point.dist.name if point.dist else 'its package'}, or uninstall it.",
    )


def _source(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
