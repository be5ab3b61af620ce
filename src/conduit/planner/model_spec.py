"""The facts of a model that decide its memory, read from its ``config.json``. It fetches and opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conduit.planner.facts import quantization, read_attention
from conduit.planner.facts.attention import Group
from conduit.planner.facts.dtypes import DTYPE_BYTES, dtype_name
from conduit.planner.facts.fields import Fields
from conduit.planner.facts.quantization import Quantization


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: facts for people; the bytes are in the checkpoint.

    Attributes:
        count: Experts of one layer that a token is sent to some of.
        per_token: How many of them calculate for one token.
    """

    count: int
    per_token: int


@dataclass(frozen=True)
class ModelSpec:
    """What of a model decides its memory.

    Attributes:
        model_type: The configuration's own name of the architecture.
        layers: All layers, whatever they keep.
        attention_heads: Query heads a layer; GPUs that hold the model together share them out.
        groups: What the layers keep of a request.
        hidden_size: Numbers in the vector of one token between layers.
        widest: Numbers in the widest vector of one token within a layer.
        vocab_size: Tokens that can be answered.
        max_context: Most tokens that the model was made for; None when it is not stated.
        dtype: Type of the unquantized numbers as the checkpoint states it: float32, float16 or bfloat16.
        quantization: The form of the weights where it is another than ``dtype``.
        experts: Of a mixture of experts.
        expert_width: Width of one expert, which GPUs share out; None without experts.
        tied_embeddings: One matrix both reads tokens and answers them.
        checkpoint_bytes: Bytes of the weight tensors as they lie in the files.
        stored_twice: The files hold the tied matrix of tokens a second time, which engines drop.
        bounded: Why it may keep less than is counted here; None when the count is exact.
    """

    model_type: str
    layers: int
    attention_heads: int
    groups: tuple[Group, ...]
    hidden_size: int
    widest: int
    vocab_size: int
    max_context: int | None
    dtype: str
    quantization: Quantization | None
    experts: Experts | None
    expert_width: int | None
    tied_embeddings: bool
    checkpoint_bytes: int
    stored_twice: bool = False
    bounded: str | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any], checkpoint_bytes: int) -> ModelSpec:
        """Reads the facts from the content of a ``config.json``.

        Args:
            config: The configuration; that of a multimodal model may nest the language model's under
                ``text_config``.
            checkpoint_bytes: Bytes of the weight tensors, never parameters times a type's size.

        Raises:
            ModelUnsupported: The attention is not known, or a number is missing or makes no sense.
        """
        fields = Fields.of(config)
        if (
            isinstance(checkpoint_bytes, bool)
            or not isinstance(checkpoint_bytes, int)
            or checkpoint_bytes < 1
        ):
            raise fields.refusal(f"its checkpoint has {checkpoint_bytes} bytes")
        attention = read_attention.read(fields)
        hidden = fields.count("hidden_size", "n_embd", "d_model")
        experts = _experts(fields)
        return cls(
            model_type=fields.model_type,
            layers=fields.count("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
            attention_heads=attention.heads,
            groups=attention.groups,
            hidden_size=hidden,
            widest=_widest(fields, hidden, experts),
            vocab_size=fields.count("vocab_size", "padded_vocab_size", default=_LARGEST_VOCABULARY),
            max_context=_max_context(fields),
            dtype=_dtype(fields),
            quantization=quantization.read(fields),
            experts=experts,
            expert_width=fields.count("moe_intermediate_size", "intermediate_size") if experts else None,
            tied_embeddings=bool(fields.get("tie_word_embeddings", False)),
            checkpoint_bytes=checkpoint_bytes,
            stored_twice=_stored_twice(fields, attention.groups, hidden, checkpoint_bytes),
            bounded=attention.bounded,
        )

    @property
    def weight_bits(self) -> float:
        """Bits of one number of the checkpoint; of a quantized one as it is stated, 8 when it is not."""
        if self.quantization is not None:
            return float(self.quantization.bits or 8)
        return 8.0 * DTYPE_BYTES[self.dtype]


_LARGEST_VOCABULARY = 262_144  # a bound for the few configurations that do not state one


def _dtype(fields: Fields) -> str:
    # A type that is not stated means float32 in the Hugging Face format.
    stated = str(fields.get("dtype") or fields.get("torch_dtype") or "float32")
    name = dtype_name(stated)
    if name not in DTYPE_BYTES:
        raise fields.refusal(f"the size of dtype {stated!r} is not known")
    return name


def _experts(fields: Fields) -> Experts | None:
    names = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts", "num_routed_experts")
    count = next((fields.get(name) for name in names if name in fields), None)
    if isinstance(count, list):  # one number for each layer
        count = max((n for n in count if isinstance(n, int)), default=None)
    if not isinstance(count, int) or isinstance(count, bool) or count < 2:
        return None
    taken = fields.get("num_experts_per_tok") or fields.get("moe_topk") or fields.get("moe_k") or 1
    taken = max(taken) if isinstance(taken, list) else taken
    return Experts(count, taken if isinstance(taken, int) else 1)


def _widest(fields: Fields, hidden: int, experts: Experts | None) -> int:
    stated = fields.get("intermediate_size") or fields.get("n_inner") or fields.get("ffn_hidden_size")
    dense = max(
        (n for n in (stated if isinstance(stated, list) else [stated]) if isinstance(n, int)), default=0
    )
    routed = fields.get("moe_intermediate_size")
    if experts and isinstance(routed, int):
        dense = max(dense, routed * experts.per_token)
    elif experts:
        dense *= experts.per_token
    return max(dense, hidden) if dense else 4 * hidden


def _stored_twice(fields: Fields, groups: tuple[Group, ...], hidden: int, checkpoint_bytes: int) -> bool:
    """Whether what is left of the checkpoint beside the layers is twice the matrix of tokens rather than once."""
    tied, vocab, inner = (fields.get(n) for n in ("tie_word_embeddings", "vocab_size", "intermediate_size"))
    dense = fields.model_type in _GATED and {group.kind for group in groups} <= {"full", "window"}
    if not tied or not dense or not isinstance(inner, int) or not isinstance(vocab, int):
        return False
    if quantization.read(fields) is not None or _experts(fields) or "vision_config" in fields:
        return False
    heads = fields.count("num_attention_heads")
    # Queries and outputs are as wide as keys and values would be with as many heads.
    attention = sum(g.layers * hidden * (g.numbers * g.kv_heads + g.numbers * heads) for g in groups)
    layers = attention + sum(g.layers for g in groups) * 3 * hidden * inner
    return checkpoint_bytes / DTYPE_BYTES[_dtype(fields)] - layers > 1.5 * vocab * hidden


_GATED = frozenset(
    {"llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "granite", "mistral", "smollm3"}
)
"""Types whose layers are attention and a gated part of three matrices, and next to nothing else."""


def _max_context(fields: Fields) -> int | None:
    names = (
        "max_position_embeddings",
        "n_positions",
        "seq_length",
        "max_sequence_length",
        "model_max_length",
    )
    stated = next((fields.get(name) for name in names if name in fields), None)
    if not isinstance(stated, int) or isinstance(stated, bool) or stated < 1:
        return None
    scaling = fields.get("rope_scaling") or fields.get("rope_parameters")
    if isinstance(scaling, Mapping):
        original, factor = scaling.get("original_max_position_embeddings"), scaling.get("factor")
        if isinstance(original, int) and isinstance(factor, int | float):
            return max(stated, int(original * factor))
    return stated
