"""What is asked of a plan: the models with their load, and what a machine must satisfy. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from conduit.compute import Constraint
from conduit.errors import ArgumentInvalid
from conduit.planner.model_spec import ModelSpec


@dataclass(frozen=True)
class ModelRequest:
    """One model and the load it is to take on each replica.

    Attributes:
        model_id: Its name in messages.
        spec: Its facts.
        engine: ``sglang``, ``vllm`` or ``mistralrs``.
        max_model_len: Most tokens of one request, prompt and answer together.
        max_model_concurrency: Most requests at a time.
        dtype: Type that the weights are loaded to; None for the engine's choice.
        kv_dtype: Type of keys and values where it is another.
        quantization: What the engine is told to quantize to.
        memory_fraction: As the engine means it; None for the planner's choice.
        tensor_parallel: GPUs that hold the model together; None for all of a machine.
    """

    model_id: str
    spec: ModelSpec
    engine: str = "sglang"
    max_model_len: int = 1024
    max_model_concurrency: int = 1
    dtype: str | None = None
    kv_dtype: str | None = None
    quantization: str | None = None
    memory_fraction: float | None = None
    tensor_parallel: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_model_len", "max_model_concurrency"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentInvalid(
                    f"{self.model_id}: {name} is {value!r}; it must be a whole number of at least 1.",
                    argument=name,
                )
        longest = self.spec.max_context
        if longest is not None and self.max_model_len > longest:
            raise ArgumentInvalid(
                f"{self.model_id}: max_model_len is {self.max_model_len}, and the model was made for {longest} "
                "tokens.",
                hint=f"Set max_model_len={longest} or less.",
                argument="max_model_len",
                model_id=self.model_id,
            )


@dataclass(frozen=True)
class Wishes:
    """What a machine must satisfy beside its memory; None and empty mean anything.

    Attributes:
        constraints: ``SECURE`` and ``SINGLE_DEVICE``.
        gpu: A ``GPUS`` value or the provider's own id.
        num_gpus: GPUs of one machine.
        regions: The provider's names of places.
        max_usd_per_hour: Of all replicas together.
        replicas: Machines that each run all models.
    """

    constraints: tuple[Constraint, ...] = ()
    gpu: str | None = None
    num_gpus: int | None = None
    regions: tuple[str, ...] = ()
    max_usd_per_hour: float | None = None
    replicas: int = 1
