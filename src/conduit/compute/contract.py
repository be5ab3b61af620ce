"""What every provider promises, as checks that run against real nodes: for the tests of a provider, not for use.

A ``Subject`` says how to make nodes of the provider under test; each of ``CHECKS`` is a promise. A check raises
``PromiseBroken`` where it is not kept, and ``NotApplicable`` where it cannot be tried. Conduit's own providers pass
them all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import anyio
import httpx
import psutil

from conduit.compute.base import Caps, NodeSpec, NodeView, Offering, OfferingQuery, Provider
from conduit.errors import ComputeError, ConduitError, NodeFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conduit.compute.owner import Owner

T = TypeVar("T")

_PORT = 8000
_POLL_S = 0.05


class PromiseBroken(AssertionError):
    """The provider does not do what it promises."""


class NotApplicable(Exception):
    """The promise cannot be tried on this subject."""


@dataclass(frozen=True)
class Party:
    """An owner, with a provider of its own."""

    provider: Provider
    owner: Owner


@dataclass(frozen=True)
class Subject:
    """A provider under test.

    Attributes:
        mine: Whose nodes are made.
        theirs: Somebody else, with nodes in the same place.
        spec: A specification for an owner, with a fresh node id each time.
        reopen: Another provider object of ``mine``, as after a restart; None where nodes end with the object.
        crash: Ends a node behind the provider's back.
        hang: While it is entered, the other side answers nothing; None where there is no other side.
        bound_s: How long a method may take then.
        serves: Its nodes run servers that answer.
        knows_doubles: It refuses to create a node a second time.
        patience_s: How long a node may take to serve, and to be gone.
    """

    mine: Party
    theirs: Party
    spec: Callable[[Owner], NodeSpec]
    crash: Callable[[NodeView], Awaitable[None]]
    reopen: Callable[[], Provider] | None = None
    hang: Callable[[], AbstractContextManager[object]] | None = None
    bound_s: float = 10.0
    serves: bool = True
    knows_doubles: bool = True
    patience_s: float = 30.0

    @asynccontextmanager
    async def node(self, party: Party | None = None) -> AsyncIterator[NodeView]:
        """A created node, which is gone afterwards."""
        party = party or self.mine
        view = await party.provider.create(self.spec(party.owner))
        try:
            yield view
        finally:
            with anyio.CancelScope(shield=True):
                await party.provider.destroy(view.node_id, at_once=True)
                await self.gone(party, view.node_id)
                await party.provider.forget(view.node_id)

    async def until(self, ask: Callable[[], Awaitable[T | None]], what: str) -> T:
        """Asks again and again until there is an answer."""
        deadline = time.monotonic() + self.patience_s
        while not (answer := await ask()):
            _promise(time.monotonic() < deadline, f"after {self.patience_s:.0f} s still not: {what}")
            await anyio.sleep(_POLL_S)
        return answer

    async def gone(self, party: Party, node_id: str) -> None:
        """Returns when the provider sees nothing alive of the node."""

        async def ask() -> bool:
            view = await party.provider.get(node_id)
            return view is None or not view.alive

        await self.until(ask, "the node is gone")

    async def has_no_address(self, view: NodeView) -> None:
        """Nothing is served where nothing lives."""
        seen = await self.mine.provider.get(view.node_id, view.handle)
        url = None if seen is None else await self.mine.provider.endpoint(seen, _PORT)
        _promise(url is None, "what has ended has no address")

    async def url(self, party: Party, view: NodeView) -> str:
        """Where its server answers."""
        if not self.serves:
            raise NotApplicable("its nodes run no servers")

        async def ask() -> str | None:
            seen = await party.provider.get(view.node_id, view.handle)
            url = await party.provider.endpoint(seen, _PORT) if seen is not None else None
            return url if url is not None and await _status(url, "/live") == 200 else None

        return await self.until(ask, "its server answers 200 on /live")


async def lives_from_create_to_destroy(subject: Subject) -> None:
    """A node is listed, seen and served while it lives, and not afterwards."""
    provider, owner = subject.mine.provider, subject.mine.owner
    async with subject.node() as view:
        _promise(view.alive and view.owner == owner.id, "create returns the living node")
        listed = await provider.list_owned(owner.id)
        _promise([one.node_id for one in listed] == [view.node_id], "it alone is listed")
        seen = await provider.get(view.node_id)
        _promise(seen is not None and seen.alive, "get finds it without its handle")
        _promise(await provider.get(view.node_id, view.handle) is not None, "get finds it by its handle")
        if subject.serves:
            await subject.url(subject.mine, view)
        await provider.destroy(view.node_id, view.handle)
        await subject.gone(subject.mine, view.node_id)
        _promise(await provider.list_owned(owner.id) == [], "nothing is listed when it is gone")
        await subject.has_no_address(view)


async def keeps_what_is_written_of_it(subject: Subject) -> None:
    """Tags and handle come back as they were given, and as JSON."""
    async with subject.node() as view:
        seen = await subject.mine.provider.get(view.node_id, json.loads(json.dumps(dict(view.handle))))
        _promise(seen is not None, "a handle that went through JSON still finds it")
        for one in filter(None, (view, seen)):
            _promise(one.provider == subject.mine.provider.kind, "a view names its provider")
            _promise(one.owner == subject.mine.owner.id, "a view names its owner")


async def answers_only_to_its_token(subject: Subject) -> None:
    """Nothing but the liveness probe is served without the token that the owner derives from the node's id."""
    async with subject.node() as view:
        url = await subject.url(subject.mine, view)
        token = subject.mine.owner.token(view.node_id).get_secret_value()
        for path in ("/v1/models", "/ready", "/metrics", "/"):
            _promise(await _status(url, path) == 401, f"{path} answers 401 without a token")
        _promise(await _status(url, "/v1/models", "wrong") == 401, "a wrong token is refused")
        _promise(await _status(url, "/v1/models", token) == 200, "its own token opens it")


async def shows_its_token_nowhere(subject: Subject) -> None:
    """The token stands in no argument list of this machine, no view and no log."""
    async with subject.node() as view:
        if subject.serves:
            await subject.url(subject.mine, view)
        token = subject.mine.owner.token(view.node_id).get_secret_value()
        seen = await subject.mine.provider.get(view.node_id)
        _promise(token not in f"{view!r} {seen!r}", "no view holds the token")
        _promise(token not in await subject.mine.provider.logs(view.node_id), "no log holds it")
        _promise(not any(token in line for line in _command_lines()), "no argument list holds it")


async def keeps_a_log(subject: Subject) -> None:
    """What the server writes can be read, also when it has ended."""
    if not subject.serves:
        raise NotApplicable("its nodes run no servers")
    async with subject.node() as view:
        provider = subject.mine.provider
        await subject.until(lambda: provider.logs(view.node_id), "its log has a line")
        _promise(
            len(await provider.logs(view.node_id, view.handle)) <= 64 * 1024, "it is no longer than 64 KiB"
        )


async def ends_as_often_as_asked(subject: Subject) -> None:
    """To end or to forget what is gone, or never was, does nothing."""
    provider = subject.mine.provider
    async with subject.node() as view:
        for handle in (view.handle, None, view.handle):
            await provider.destroy(view.node_id, handle)
        await subject.gone(subject.mine, view.node_id)
        await provider.destroy(view.node_id, at_once=True)
        for _ in range(2):
            await provider.forget(view.node_id)
        _promise(await provider.logs(view.node_id) == "", "a forgotten node has no log")
    unknown = subject.spec(subject.mine.owner).node_id
    await provider.destroy(unknown)
    await provider.forget(unknown)
    _promise(await provider.get(unknown) is None, "what never was is None")
    _promise(await provider.logs(unknown) == "", "and has no log")


async def keeps_nodes_apart(subject: Subject) -> None:
    """Two nodes have addresses and tokens of their own, and the end of one leaves the other."""
    provider, owner = subject.mine.provider, subject.mine.owner
    async with subject.node() as first, subject.node() as second:
        listed = {view.node_id for view in await provider.list_owned(owner.id)}
        _promise(listed == {first.node_id, second.node_id}, "both are listed")
        if subject.serves:
            urls = [await subject.url(subject.mine, view) for view in (first, second)]
            _promise(urls[0] != urls[1], "they have addresses of their own")
            token = owner.token(first.node_id).get_secret_value()
            _promise(
                await _status(urls[1], "/v1/models", token) == 401, "one's token does not open the other"
            )
        await provider.destroy(first.node_id)
        await subject.gone(subject.mine, first.node_id)
        left = await provider.get(second.node_id)
        _promise(left is not None and left.alive, "the other lives on")
        if subject.serves:
            await subject.url(subject.mine, second)


async def leaves_others_alone(subject: Subject) -> None:
    """Another owner's node is not listed, not found, and not ended."""
    provider, owner = subject.mine.provider, subject.mine.owner
    async with subject.node(subject.theirs) as view:
        _promise(await provider.list_owned(owner.id) == [], "another owner's node is not listed")
        _promise(await provider.get(view.node_id) is None, "it is not found")
        await provider.destroy(view.node_id)
        await provider.destroy(view.node_id, at_once=True)
        left = await subject.theirs.provider.get(view.node_id)
        _promise(left is not None and left.alive, "it lives on")


async def is_found_again_after_a_restart(subject: Subject) -> None:
    """Another object of the provider finds the node by owner alone, serves it and ends it."""
    if subject.reopen is None:
        raise NotApplicable("its nodes end with the object")
    async with subject.node() as view:
        again = Party(subject.reopen(), subject.mine.owner)
        try:
            (found,) = await again.provider.list_owned(again.owner.id)
            _promise(found.node_id == view.node_id, "a new object lists it")
            if subject.serves:
                await subject.url(again, found)
            await again.provider.destroy(found.node_id)
            await subject.gone(again, found.node_id)
        finally:
            await again.provider.aclose()


async def sees_a_death(subject: Subject) -> None:
    """A node that ended by itself is seen as ended, is not listed as living, and can be forgotten."""
    provider, owner = subject.mine.provider, subject.mine.owner
    async with subject.node() as view:
        if subject.serves:
            await subject.url(subject.mine, view)
        await subject.crash(view)
        await subject.gone(subject.mine, view.node_id)
        listed = await provider.list_owned(owner.id)
        _promise(not any(one.alive for one in listed), "a dead node is not listed as a living one")
        await subject.has_no_address(view)
        await provider.destroy(view.node_id)
        await provider.forget(view.node_id)


async def forgets_only_the_dead(subject: Subject) -> None:
    """What lives cannot be forgotten."""
    async with subject.node() as view:
        try:
            await subject.mine.provider.forget(view.node_id)
        except NodeFailed:
            return
        raise PromiseBroken("forget raises NodeFailed for a living node")


async def creates_a_node_once(subject: Subject) -> None:
    """A second creation under the same id is refused, and the first node lives on."""
    if not subject.knows_doubles:
        raise NotApplicable("it makes as many as are asked for, and lists them all")
    provider, spec = subject.mine.provider, subject.spec(subject.mine.owner)
    await provider.create(spec)
    try:
        try:
            await provider.create(spec)
        except NodeFailed:
            view = await provider.get(spec.node_id)
            _promise(view is not None and view.alive, "the first node lives on")
            return
        raise PromiseBroken("create raises NodeFailed for an id that is in use")
    finally:
        await provider.destroy(spec.node_id, at_once=True)
        await subject.gone(subject.mine, spec.node_id)
        await provider.forget(spec.node_id)


async def refuses_unsafe_ids(subject: Subject) -> None:
    """What is no node id reaches no folder, no query and no command."""
    provider = subject.mine.provider
    for method in (provider.get, provider.destroy, provider.forget, provider.logs):
        for node_id in ("", "../up", "A", "n1;id", "n1\n"):
            try:
                await method(node_id)
            except ComputeError:
                continue
            raise PromiseBroken(f"{method.__name__}({node_id!r}) raises ComputeError")


async def says_what_it_is(subject: Subject) -> None:
    """Kind, capabilities, offerings and bill are of the protocol's types."""
    provider = subject.mine.provider
    _promise(isinstance(provider.kind, str) and isinstance(provider.caps, Caps), "it has kind and caps")
    for offering in await provider.offerings(OfferingQuery()):
        _promise(
            isinstance(offering, Offering) and offering.provider == provider.kind, "offerings are its own"
        )
        _promise(offering.usd_per_hour >= 0 and offering.memory_gib > 0, "an offering has price and memory")
    nothing = await provider.offerings(OfferingQuery(gpu="no such GPU"))
    _promise(nothing == [], "an unknown GPU is not on sale")
    async with subject.node() as view:
        billed = await provider.billed_usd(view.node_id, view.handle)
        _promise(billed is None or billed >= 0, "a bill is None or an amount")


async def works_after_a_close(subject: Subject) -> None:
    """``aclose`` ends connections, not nodes, and the provider can be used again."""
    async with subject.node() as view:
        await subject.mine.provider.aclose()
        seen = await subject.mine.provider.get(view.node_id)
        _promise(seen is not None and seen.alive, "the node outlives the connections")
        if subject.serves:
            await subject.url(subject.mine, view)


async def never_waits_for_ever(subject: Subject) -> None:
    """When the other side hangs, every method returns or raises an error of ours within its bound."""
    if subject.hang is None:
        raise NotApplicable("there is no other side")
    provider, owner = subject.mine.provider, subject.mine.owner
    async with subject.node() as view:
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "offerings": lambda: provider.offerings(OfferingQuery()),
            "create": lambda: provider.create(subject.spec(owner)),
            "list_owned": lambda: provider.list_owned(owner.id),
            "get": lambda: provider.get(view.node_id, view.handle),
            "destroy": lambda: provider.destroy(view.node_id, view.handle),
            "forget": lambda: provider.forget(view.node_id),
            "logs": lambda: provider.logs(view.node_id, view.handle),
            "endpoint": lambda: provider.endpoint(view, _PORT),
            "billed_usd": lambda: provider.billed_usd(view.node_id, view.handle),
        }
        late: list[str] = []

        async def wait(name: str, call: Callable[[], Awaitable[object]]) -> None:
            with anyio.move_on_after(subject.bound_s) as bound, suppress(ConduitError):
                await call()
            if bound.cancelled_caught:
                late.append(name)

        with subject.hang():
            async with anyio.create_task_group() as group:
                for name, call in calls.items():
                    group.start_soon(wait, name, call)
        _promise(not late, f"within {subject.bound_s:.0f} s these return or raise: {', '.join(late)}")
        # What was asked for in the meantime may come to be after all.
        for left in await provider.list_owned(owner.id):
            await provider.destroy(left.node_id, at_once=True)


CHECKS: tuple[Callable[[Subject], Awaitable[None]], ...] = (
    lives_from_create_to_destroy,
    keeps_what_is_written_of_it,
    answers_only_to_its_token,
    shows_its_token_nowhere,
    keeps_a_log,
    ends_as_often_as_asked,
    keeps_nodes_apart,
    leaves_others_alone,
    is_found_again_after_a_restart,
    sees_a_death,
    forgets_only_the_dead,
    creates_a_node_once,
    refuses_unsafe_ids,
    says_what_it_is,
    works_after_a_close,
    never_waits_for_ever,
)


async def _status(url: str, path: str, token: str | None = None) -> int | None:
    """Status of a GET, None without an answer."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            return (await client.get(f"{url}{path}", headers=headers)).status_code
    except httpx.HTTPError:
        return None


def _command_lines() -> list[str]:
    lines = []
    for process in psutil.process_iter():
        try:
            lines.append("\0".join(process.cmdline()))
        except psutil.Error:
            continue
    return lines


def _promise(kept: bool, text: str) -> None:
    if not kept:
        raise PromiseBroken(text)
