"""What a provider of machines is: one Protocol and its value types, nothing else.

A provider starts, finds and ends nodes. It keeps no plan, retries nothing and writes no records: who calls it
has committed the intent first, and decides what an ambiguous answer means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

from conduit.errors import ComputeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

_NODE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class ComputeProvider(StrEnum):
    """The providers that Conduit has itself; others are named by the name of their entry point."""

    LOCAL = "local"
    RUNPOD = "runpod"
    DOCKER = "docker"
    SSH = "ssh"


class Constraint(StrEnum):
    """What a placement must satisfy beside its memory."""

    SECURE = "secure"
    SINGLE_DEVICE = "single_device"


class NodeStatus(StrEnum):
    """What the provider itself says of a node; whether its server is ready is asked from the server."""

    STARTING = "starting"  # it exists and may cost something; its address is not known yet
    RUNNING = "running"  # it lives and its address is known
    EXITED = "exited"  # it ended and costs nothing; only its log is left


Availability = Literal["none", "low", "medium", "high", "unknown"]


@dataclass(frozen=True)
class Offering:
    """One kind of machine that a provider has on sale: a GPU type, how many of it, and where.

    Attributes:
        provider: Name of the provider.
        gpu: The provider's own id of the GPU type; what it is asked for.
        name: The name that people use, a ``GPUS`` value where there is one.
        gpu_count: GPUs of one machine.
        memory_gib: Usable memory of one GPU in GiB (an "80 GB" H100 has 79.2), never the vendor's GB.
        usd_per_hour: For the whole machine.
        secure: It stands in a data centre, not at a private host's.
        region: The provider's name of the place; None for anywhere.
        availability: As the provider states it.
        compute_capability: NVIDIA's, as 8.9; None when unknown or of another vendor.
    """

    provider: str
    gpu: str
    name: str
    gpu_count: int
    memory_gib: float
    usd_per_hour: float
    secure: bool = True
    region: str | None = None
    availability: Availability = "unknown"
    compute_capability: float | None = None


@dataclass(frozen=True)
class OfferingQuery:
    """Which offerings are asked for; None and empty mean all.

    Attributes:
        gpu: A ``GPUS`` value or the provider's own id.
        gpu_counts: GPUs of one machine.
        secure: Only machines in data centres.
        regions: The provider's names of places.
    """

    gpu: str | None = None
    gpu_counts: tuple[int, ...] = (1,)
    secure: bool = False
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeSpec:
    """One node to create.

    Attributes:
        node_id: Made by ``new_node_id`` and already committed as an intent.
        owner: Tag by which the node is found again when all records are lost.
        deployment_key: The deployment that the node belongs to.
        project: The project that the deployment belongs to.
        config: The server's configuration (models, limits); ``host``, ``port`` and ``announce`` are the
            provider's to set.
        offering: The one machine to create it on; None where the provider has but one.
        image: Container image of the server; None for the provider's default.
        expires_at: Unix seconds after which the node ends by itself and anybody of its owner may end it; None for
            never.
        serverless: An endpoint that scales to zero in place of a machine that runs all the time.
        max_workers: Of a serverless endpoint.
    """

    node_id: str
    owner: str
    deployment_key: str
    project: str
    config: Mapping[str, Any]
    offering: Offering | None = None
    image: str | None = None
    expires_at: float | None = None
    serverless: bool = False
    max_workers: int = 1

    def __post_init__(self) -> None:
        check_node_id(self.node_id)


@dataclass(frozen=True)
class NodeView:
    """A node as its provider sees it now.

    Attributes:
        provider: Name of the provider.
        created_at: Unix seconds; None when unknown.
        handle: What the provider needs to know the node again, as JSON values; goes into the node's row.
        log: Where the log lies, to be named in messages; None when there is none.
        exit_code: Known only to the process that created the node.
        certificate: PEM text of the certificate that its server shows; None when it speaks plain HTTP, or one that
            the system's authorities vouch for.
        usd_per_hour: What the provider says it costs; None when it says nothing.
        serverless: It is an endpoint that scales to zero.
        token: What its server takes in place of the owner's token for the node.
        said: The provider's own word for its state, for messages.
    """

    node_id: str
    owner: str
    provider: str
    status: NodeStatus
    deployment_key: str | None = None
    project: str | None = None
    created_at: float | None = None
    handle: Mapping[str, Any] = field(default_factory=dict)
    log: str | None = None
    exit_code: int | None = None
    certificate: str | None = None
    usd_per_hour: float | None = None
    serverless: bool = False
    token: SecretStr | None = field(default=None, repr=False)
    said: str | None = None

    @property
    def alive(self) -> bool:
        """Whether the node exists and may cost something."""
        return self.status is not NodeStatus.EXITED


@dataclass(frozen=True)
class Caps:
    """What a provider can do, and how far its word can be trusted.

    Attributes:
        this_machine: Its nodes take the memory of the machine that this process runs on.
        gpus: A GPU can be asked for.
        costs: Its nodes cost money by the hour.
        settle_s: For how long after an ambiguous answer to ``create`` the node may still turn up in lists.
        absent_gap_s: How far apart two answers "absent" must lie to prove that a node is gone; 0 where ``destroy``
            itself returns only when it is proven.
        serverless: It has endpoints that scale to zero.
    """

    this_machine: bool
    gpus: bool
    costs: bool = False
    settle_s: float = 0.0
    absent_gap_s: float = 0.0
    serverless: bool = False


class Provider(Protocol):
    """A source of nodes. Every method may raise ``ComputeError`` and has a bounded duration; none tries again.

    A ``handle`` is that of a ``NodeView`` of this node: with it a method means that very machine; without it, all
    that carry the node's id (after an ambiguous answer there may be two).
    """

    @property
    def kind(self) -> str:
        """Its name: a ``ComputeProvider`` value, or the name of its entry point."""
        ...

    @property
    def caps(self) -> Caps:
        """What it can do."""
        ...

    async def offerings(self, query: OfferingQuery, /) -> list[Offering]:
        """What is on sale now, in any order; what has availability "none" is listed, too.

        Empty where there is nothing to choose (a process of this machine).
        """
        ...

    async def create(self, spec: NodeSpec) -> NodeView:
        """Asks for one node on the one offering of the spec, and returns without waiting for its server.

        Raises:
            MissingDependency: What the node needs is not installed here.
            NodeFailed: It could not be started; nothing is left of it.
            NoCapacity: The offering is sold out; another may be tried.
            OfferingRefused: This account may not have that offering; another may be tried.
            BalanceTooLow: The account's money is used up; nothing else will do either.
            ProviderRejected: The request is wrong and stays wrong.
            ProviderBusy: Asked too often; the same may be tried later.
            AmbiguousAnswer: It may exist or not: look before anything else.
        """
        ...

    async def list_owned(self, owner: str) -> list[NodeView]:
        """All living nodes with that owner's tag, also those that no record knows, and each of doubles.

        Also ended ones of which the provider keeps something until they are destroyed, as a stopped pod.
        """
        ...

    async def get(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> NodeView | None:
        """The node, alive or ended; None when nothing of it is to be seen."""
        ...

    async def destroy(
        self, node_id: str, handle: Mapping[str, Any] | None = None, /, *, at_once: bool = False
    ) -> None:
        """Has the node end; does nothing when it is gone already. Proof that it is gone is ``Caps.absent_gap_s``'s.

        Args:
            node_id: Which.
            handle: Which machine of it; None for all.
            at_once: Without time to finish what runs, for one that does not work any more.

        Raises:
            NodeFailed: It still lives after the last means.
        """
        ...

    async def forget(self, node_id: str) -> None:
        """Removes what is kept of an ended node (its log); does nothing when there is nothing.

        Raises:
            NodeFailed: The node still lives.
        """
        ...

    async def endpoint(self, view: NodeView, port: int, /) -> str | None:
        """Base URL, without a trailing slash, of the node's server port; None while it is not known.

        It holds while the node lives and until ``aclose``: a provider may keep a way to the node open for it.
        """
        ...

    async def logs(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> str:
        """The end of the node's log, at most 64 KiB; empty when there is none."""
        ...

    async def billed_usd(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> float | None:
        """What the provider has billed for the node so far; None where it does not say."""
        ...

    async def aclose(self) -> None:
        """Closes connections; a later use opens them again."""
        ...


def check_node_id(node_id: str) -> None:
    """Refuses an id that is not safe as a folder's, a pod's or a variable's value.

    Raises:
        ComputeError: It is not 1 to 63 characters of ``a-z``, ``0-9`` and ``-``.
    """
    if not _NODE_ID.fullmatch(node_id):
        raise ComputeError(
            f"{node_id!r} is no node id: 1 to 63 characters of a-z, 0-9 and - are.",
            hint="Take the id from `conduit status`.",
        )
