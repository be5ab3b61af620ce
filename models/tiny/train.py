"""Trains `conduit/tiny` and writes it into the package. Needs torch 2.13; two cores, under two hours.

    pip install torch==2.13.0 && python models/tiny/train.py

Exchanges of one prompt are packed into rows that hold the prompt's static prefix once: each exchange sees the
prefix and itself, at the positions it would have alone. That makes an exchange cost about a third.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from tiny import data, shapes, tokenizer
from tiny.data import Example
from tiny.network import Network, Shape

OUT = Path(__file__).resolve().parents[2] / "src/conduit/lmlite/tiny"
ROW, ROWS = 512, 12  # tokens of a row, rows of a step
ASKED, ANSWERED = 0.1, 1.0  # loss weights of a question's tokens and of an answer's


@dataclass(frozen=True)
class Phase:
    """A stretch of training: `steps` of a cosine that is laid out over `horizon` steps.

    `judged` is the loss weight of labels, which no copying can get right.
    """

    steps: int
    horizon: int
    peak: float
    judged: float


# First all of an answer counts alike, until copying is learnt; from then on labels count more. Each further phase
# warms up again, so that what was settled too early can move.
PHASES = (
    Phase(steps=2000, horizon=4800, peak=3e-3, judged=1.0),
    Phase(steps=2000, horizon=2900, peak=2.5e-3, judged=4.0),
    Phase(steps=2000, horizon=2200, peak=2e-3, judged=4.0),
)
Row = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # tokens, positions, exchange numbers, weights


def kind_of_row(rng: random.Random) -> shapes.Shape | None:
    """Which prompt a row is for: the demo's (`None`) or one of the other shapes."""
    return None if rng.random() < 0.65 else rng.choice(shapes.shapes())


def example(kind: shapes.Shape | None, rng: random.Random) -> Example:
    """One exchange of a kind."""
    return data.ticket_example(rng) if kind is None else kind.example(rng)


def pack(encoder: Tokenizer, rng: random.Random, judged: float) -> Row:
    """One row: a prefix, then exchanges until it is full. Exchange 0 is the prefix, -1 is padding."""
    kind = kind_of_row(rng)
    tokens, positions, owners, weights = (
        np.zeros(ROW, dtype) for dtype in (np.int64, np.int64, np.int64, np.float32)
    )
    owners -= 1
    first = example(kind, rng)
    start = encoder.encode(tokenizer.prefix(first.prompt.system)).ids
    end = len(start)
    tokens[:end], positions[:end], owners[:end] = start, np.arange(end), 0
    for number in range(1, ROW):
        item = first if number == 1 else example(kind, rng)
        asked, answered = (encoder.encode(text) for text in tokenizer.exchange(item.user, item.answer))
        size = len(asked.ids) + len(answered.ids)
        if end + size > ROW:
            break
        place = slice(end, end + size)
        tokens[place], positions[place], owners[place] = (
            asked.ids + answered.ids,
            np.arange(len(start), len(start) + size),
            number,
        )
        weights[place] = [ASKED] * len(asked.ids) + [
            judged if _touches(span, item.judged) else ANSWERED for span in answered.offsets
        ]
        end += size
    return tokens, positions, owners, weights


def _touches(span: tuple[int, int], others: tuple[tuple[int, int], ...]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)


def batches(encoder: Tokenizer, seed: int, judged: float) -> Iterator[list[np.ndarray]]:
    """Endless steps, made in a process of their own."""
    queue: multiprocessing.Queue[list[np.ndarray]] = multiprocessing.Queue(32)
    maker = multiprocessing.Process(target=_make, args=(encoder.to_str(), seed, judged, queue), daemon=True)
    maker.start()
    try:
        while True:
            yield queue.get()
    finally:
        maker.terminate()


def _make(encoder: str, seed: int, judged: float, queue: multiprocessing.Queue[list[np.ndarray]]) -> None:
    rng, reader = random.Random(seed), Tokenizer.from_str(encoder)
    while True:
        queue.put(
            [np.stack(part) for part in zip(*(pack(reader, rng, judged) for _ in range(ROWS)), strict=True)]
        )


def visible(owners: torch.Tensor) -> torch.Tensor:
    """Who sees whom, `[rows, 1, length, length]`: earlier tokens of the prefix and of the same exchange."""
    length = owners.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = (owners[:, :, None] == owners[:, None, :]) | (owners[:, None, :] == 0)
    return (same & causal)[:, None]


def learning_rate(step: int, phase: Phase) -> float:
    """Warm-up, then a cosine down to a hundredth."""
    warm = min(1.0, step / 200)
    return phase.peak * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / phase.horizon)))


@torch.no_grad()
def accuracy(network: Network, encoder: Tokenizer, rows: list[dict[str, object]]) -> dict[str, float]:
    """Share of fields right on rows, decoded greedily without a grammar."""
    network.eval()
    right = dict.fromkeys(("order_id", "amount", "topic", "urgent"), 0)
    start = encoder.encode(tokenizer.prefix(data.ticket_prompt().system)).ids
    asked = [
        encoder.encode(tokenizer.exchange(data.ticket_prompt().user({"message": r["message"]}), "")[0]).ids
        for r in rows
    ]
    texts = [start + ids for ids in asked]
    done = [False] * len(rows)
    answers: list[list[int]] = [[] for _ in rows]
    for _ in range(48):
        length = max(map(len, texts))
        tokens = torch.tensor([text + [0] * (length - len(text)) for text in texts])
        mask = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(tokens, torch.arange(length).expand(len(texts), -1), mask)
        for i, text in enumerate(texts):
            if not done[i]:
                token = int(logits[i, len(text) - 1].argmax())
                done[i] = token == 2
                answers[i].append(token)
                text.append(token)
        if all(done):
            break
    for row, ids in zip(rows, answers, strict=True):
        try:
            value = json.loads(encoder.decode(ids))
        except ValueError:
            continue
        for field in right:
            right[field] += isinstance(value, dict) and value.get(field, "missing") == row[field]
    network.train()
    return {field: round(count / len(rows), 3) for field, count in right.items()}


def save(network: Network, encoder: Tokenizer, folder: Path) -> None:
    """Writes a Hugging Face folder."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in network.checkpoint().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(encoder, folder)
    files = {
        "config.json": network.shape.configuration(),
        "tokenizer_config.json": tokenizer.configuration(network.shape.max_length),
        "generation_config.json": {"eos_token_id": 2, "pad_token_id": 0, "do_sample": False},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


def train(network: Network, encoder: Tokenizer, phase: Phase, seed: int, out: Path) -> None:
    """Runs one phase; the weights are saved every 500 steps and at its end."""
    decayed = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=phase.peak, betas=(0.9, 0.95))
    check = data.unseen()[::24]  # a look at the course of things: without a cache of keys each row is dear
    began, losses_seen = time.monotonic(), 0.0
    made = batches(encoder, seed, phase.judged)
    for step in range(1, phase.steps + 1):
        tokens, positions, owners, weights = map(torch.from_numpy, next(made))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, phase)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(tokens, positions, visible(owners))
        losses = F.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none"
        )
        weight = weights[:, 1:].flatten()
        loss = (losses * weight).sum() / weight.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses_seen += loss.item()
        if step % 50 == 0:
            seconds = time.monotonic() - began
            speed = step * ROW * ROWS / seconds
            print(
                f"step {step} loss {losses_seen / 50:.4f} {seconds / 60:.1f} min {speed:.0f} tokens/s",
                flush=True,
            )
            losses_seen = 0.0
        if step % 500 == 0 or step == phase.steps:
            print(f"step {step} unseen templates {accuracy(network, encoder, check)}", flush=True)
            save(network, encoder, out)
    made.close()


def first_tokenizer(seed: int) -> Tokenizer:
    """The tokenizer, trained on a sample of exchanges."""
    rng = random.Random(seed)
    samples = (example(kind_of_row(rng), rng) for _ in range(12_000))
    return tokenizer.train(
        tokenizer.prefix(e.prompt.system) + "".join(tokenizer.exchange(e.user, e.answer)) for e in samples
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--out", type=Path, default=OUT)
    arguments.add_argument(
        "--after", type=int, default=0, help="phases that are done: goes on from the weights in --out"
    )
    chosen = arguments.parse_args()
    torch.manual_seed(chosen.seed)
    torch.set_num_threads(chosen.threads)
    network = Network(Shape())
    if chosen.after:
        encoder = Tokenizer.from_file(str(chosen.out / "tokenizer.json"))
        network.restore(load_file(chosen.out / "model.safetensors"))
    else:
        encoder = first_tokenizer(chosen.seed)
    print(f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters", flush=True)
    for number, phase in enumerate(PHASES[chosen.after :], chosen.after):
        train(network, encoder, phase, chosen.seed + number, chosen.out)


if __name__ == "__main__":
    main()
