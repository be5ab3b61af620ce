"""Write a small model with random weights, in the Hugging Face folder layout, without torch.

The folder holds a Qwen3 architecture that real engines load: configuration, weights, a byte-level tokenizer and a
ChatML template. Its answers mean nothing; it is for tests and benchmarks of the machinery around a model.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

_TEXT = """The quick brown fox jumps over the lazy dog. Invoice 2041 of 17 March is open: please pay 129.90 EUR.
My order has not arrived yet, and the tracking page shows an error since Tuesday. Can you help me with that?
{"category": "billing", "urgent": true, "summary": "a short text", "items": [1, 2, 3], "amount": 12.5, "id": null}
Write a poem about the sea. Name three colours. What is the capital of France? Classify a support message.
"""


def make(
    folder: Path,
    *,
    seed: int = 0,
    vocab: int = 2048,
    hidden: int = 192,
    layers: int = 4,
    heads: int | None = None,
    kv_heads: int | None = None,
    intermediate: int | None = None,
    max_positions: int = 4096,
) -> Path:
    """Write the model into `folder` (made if missing) and return it.

    Args:
        folder: Where the files go; files of the same names are replaced.
        seed: Of the weights. Equal arguments give equal bytes.
        vocab: Rows of the embedding. The tokenizer fills them all; 260 to 6000.
        hidden: Width of the model; a multiple of `heads`.
        layers: Transformer blocks.
        heads: Query heads; one for 32 of the width when not given.
        kv_heads: Key and value heads; divides `heads`. Two, or one, when not given.
        intermediate: Width of the gated MLP; 8/3 of `hidden` when not given.
        max_positions: Context length that the configuration states.
    """
    if vocab < 260:
        raise ValueError(f"vocab={vocab} cannot hold 256 bytes and the special tokens; 260 is the least")
    heads = heads or max(1, hidden // 32)
    kv_heads = kv_heads or (2 if heads % 2 == 0 else 1)
    intermediate = intermediate or hidden * 8 // 3
    if hidden % heads or heads % kv_heads or (hidden // heads) % 2:
        raise ValueError(f"hidden={hidden}, heads={heads}, kv_heads={kv_heads} do not divide into even heads")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(vocab)
    ids = {token: tokenizer.token_to_id(token) for token in (PAD, START, END)}
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(max_positions))
    _write_json(
        folder / "config.json",
        {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": ids[PAD],
            "eos_token_id": ids[END],
            "head_dim": hidden // heads,
            "hidden_act": "silu",
            "hidden_size": hidden,
            "initializer_range": 0.02,
            "intermediate_size": intermediate,
            "max_position_embeddings": max_positions,
            "max_window_layers": layers,
            "num_attention_heads": heads,
            "num_hidden_layers": layers,
            "num_key_value_heads": kv_heads,
            "rms_norm_eps": 1e-6,
            "rope_scaling": None,
            "rope_theta": 10000.0,  # engines read it here, not inside rope_parameters
            "sliding_window": None,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": vocab,
        },
    )
    _write_json(
        folder / "generation_config.json",
        {"bos_token_id": ids[PAD], "eos_token_id": [ids[END], ids[PAD]], "pad_token_id": ids[PAD]},
    )
    weights = _weights(np.random.default_rng(seed), vocab, hidden, layers, heads, kv_heads, intermediate)
    weights["model.embed_tokens.weight"][_textless(tokenizer)] = 0.0
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    return folder


def _tokenizer(vocab: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[AddedToken(token, special=True) for token in (PAD, START, END)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator([*_TEXT.splitlines(), *_filler()], trainer)
    if tokenizer.get_vocab_size() != vocab:
        raise ValueError(f"vocab={vocab} is more than the training text yields: {tokenizer.get_vocab_size()}")
    return tokenizer


def _filler() -> list[str]:
    """Made-up words, so that the vocabulary fills up and every row of the embedding has a text."""
    onsets, vowels = (
        ["b", "br", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "z"],
        "aeiou",
    )
    syllables = [onset + vowel for onset in onsets for vowel in vowels]
    return [f" {first}{second}" for first in syllables for second in syllables]


def _textless(tokenizer: Tokenizer) -> list[int]:
    """Ids without a text of their own: special tokens and parts of UTF-8 characters.

    The weights make them unlikely, so that an answer is plain text of exactly as many tokens as were asked for.
    """
    texts = {index: tokenizer.decode([index]) for index in tokenizer.get_vocab().values()}
    return [index for index, text in texts.items() if not text or "\N{REPLACEMENT CHARACTER}" in text]


def _tokenizer_config(max_positions: int) -> dict[str, object]:
    return {
        "add_prefix_space": False,
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "model_max_length": max_positions,
        "pad_token": PAD,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def _weights(
    rng: np.random.Generator,
    vocab: int,
    hidden: int,
    layers: int,
    heads: int,
    kv_heads: int,
    intermediate: int,
) -> dict[str, NDArray[np.float32]]:
    head_dim = hidden // heads

    def normal(rows: int, columns: int) -> NDArray[np.float32]:
        return (rng.standard_normal((rows, columns)) * columns**-0.5).astype(np.float32)

    def ones(size: int) -> NDArray[np.float32]:
        return np.ones(size, dtype=np.float32)

    weights = {"model.embed_tokens.weight": normal(vocab, hidden), "model.norm.weight": ones(hidden)}
    for layer in range(layers):
        at = f"model.layers.{layer}."
        weights |= {
            at + "input_layernorm.weight": ones(hidden),
            at + "post_attention_layernorm.weight": ones(hidden),
            at + "self_attn.q_proj.weight": normal(heads * head_dim, hidden),
            at + "self_attn.k_proj.weight": normal(kv_heads * head_dim, hidden),
            at + "self_attn.v_proj.weight": normal(kv_heads * head_dim, hidden),
            at + "self_attn.o_proj.weight": normal(hidden, heads * head_dim),
            at + "self_attn.q_norm.weight": ones(head_dim),
            at + "self_attn.k_norm.weight": ones(head_dim),
            at + "mlp.gate_proj.weight": normal(intermediate, hidden),
            at + "mlp.up_proj.weight": normal(intermediate, hidden),
            at + "mlp.down_proj.weight": normal(hidden, intermediate),
        }
    return weights


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
