"""The tokenizer of `conduit/tiny`: byte-level BPE that keeps each digit and each capital apart.

References and sums are copied a character at a time, which a small model learns exactly; a run of JSON punctuation
such as `","` is one token.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 2048
START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_PIECES = r"[0-9]|[A-Z]| ?[a-z_']+|[^\s0-9A-Za-z_']+|\s+"


def train(texts: Iterable[str]) -> Tokenizer:
    """Trains the tokenizer on texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(text, special=True) for text in (PAD, START, END)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def configuration(max_length: int) -> dict[str, object]:
    """What stands in `tokenizer_config.json`."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "bos_token": None,
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": None,
        "chat_template": CHAT_TEMPLATE,
    }


def prefix(system: str) -> str:
    """The chat up to the user message's text; it is the same for all exchanges of one prompt."""
    return f"{START}system\n{system}{END}\n{START}user\n"


def exchange(user: str, answer: str) -> tuple[str, str]:
    """What follows the prefix: the question's rest and the answer with its end mark."""
    return f"{user}{END}\n{START}assistant\n", f"{answer}{END}"


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes `tokenizer.json`."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
