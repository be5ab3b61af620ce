"""The bodies of requests for pods, as strict as the API's contract: a wrong one is refused, never bent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from conduit.sim.runpod.problems import Problem

MAX_BODY_BYTES = 4 * 1024 * 1024

Named = Annotated[str, Field(min_length=1)]
CudaVersion = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")]
Cloud = Literal["SECURE", "COMMUNITY"]


class Body(BaseModel):
    """One object of a body; what is left out is None, but None itself is refused where it is not meant."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    may_be_null: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for name, value in given.items():
                if value is None and name in cls.model_fields and name not in cls.may_be_null:
                    raise ValueError(f"{name} must not be null")
        return given

    def given(self) -> dict[str, Any]:
        """What the caller set, as JSON values."""
        return self.model_dump(exclude_unset=True)


class Container(Body):
    """What runs, for pods, templates and endpoints."""

    may_be_null = frozenset({"registry"})

    args: str | None = None
    disk: Annotated[int, Field(ge=1)] | None = None
    env: dict[str, str] | None = None
    image: str | None = None
    ports: list[str] | None = None
    registry: str | None = None


class Gpu(Body):
    """GPUs of a pod."""

    id: str
    count: Annotated[int, Field(ge=1)] = 1
    allowedCudaVersions: list[CudaVersion] | None = None
    minCudaVersion: CudaVersion | None = None


class Cpu(Body):
    """CPUs of a pod."""

    id: Named
    vcpuCount: Annotated[int, Field(ge=2)]


class PersistentMount(Body):
    """A disk of the host."""

    size: Annotated[int, Field(ge=10)]
    path: str


class NetworkMount(Body):
    """A network volume."""

    volumeId: str
    path: str


class Mounts(Body):
    """At most one of both."""

    persistent: PersistentMount | None = None
    network: Annotated[list[NetworkMount], Field(max_length=1)] | None = None


class CreatePod(Container):
    """``POST /v2/pods``."""

    name: Named
    cloud: Cloud = "SECURE"
    cpu: Cpu | None = None
    dataCenterIds: list[str] | None = None
    globalNetworking: bool = False
    gpu: Gpu | None = None
    mounts: Mounts | None = None
    startJupyter: bool = False
    startSsh: bool = False
    templateId: Named | None = None

    @model_validator(mode="after")
    def _has_image(self) -> Self:
        if self.templateId is None and self.image is None:
            raise ValueError("image is required unless templateId is set")
        return self


class UpdatePod(Container):
    """``PATCH /v2/pods/{id}``."""

    globalNetworking: bool | None = None
    locked: bool | None = None
    mounts: Mounts | None = None
    name: Named | None = None
    templateId: str | None = None


class PodAction(Body):
    """``POST /v2/pods/{id}/action``."""

    action: Literal["start", "stop", "restart", "terminate"]


_Read = TypeVar("_Read", bound=BaseModel)


async def read(request: Request, kind: type[_Read]) -> _Read:
    """The body of a request.

    Raises:
        Problem: It is too large, no JSON, or against the contract.
    """
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise Problem(415, f"the body must be application/json, not {declared or 'without a type'}")
    raw = await request.body()
    if len(raw) > MAX_BODY_BYTES:
        raise Problem(413, f"the body has {len(raw)} bytes; {MAX_BODY_BYTES} are allowed")
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        ]
        if any(fault["type"] == "json_invalid" for fault in error.errors(include_url=False)):
            raise Problem(400, "the body is no JSON", errors=faults) from error
        raise Problem(422, "Request validation failed.", errors=faults) from error
