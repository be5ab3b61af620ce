"""Memory that transformers takes for a model folder on torch's CPU build: one JSON line, in bytes.

Arguments: the folder, the sequences in a batch, the tokens of each, the batches. `idle` is this process's RSS once
the model is loaded in f32; `peak` is the highest of many readings while it generates. It stands in the peers'
environment, and measures itself.
"""

from __future__ import annotations

import json
import sys
import threading

import psutil
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


class Peak(threading.Thread):
    """Watches this process's RSS."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.rss = 0
        self._over = threading.Event()

    def run(self) -> None:
        process = psutil.Process()
        while not self._over.wait(0.01):
            self.rss = max(self.rss, process.memory_info().rss)

    def end(self) -> None:
        self._over.set()
        self.join()


def main() -> None:
    folder, (sequences, tokens, batches) = sys.argv[1], map(int, sys.argv[2:])
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    chats = [[{"role": "user", "content": f"Question {number:03}"}] for number in range(sequences)]
    prompts = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    idle = psutil.Process().memory_info().rss
    peak = Peak()
    peak.start()
    for _ in range(batches):
        answers = model.generate(**prompts, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)
    peak.end()
    generated = answers.shape[1] - prompts["input_ids"].shape[1]
    if answers.shape[0] != sequences or generated != tokens:
        raise SystemExit(f"{answers.shape[0]} sequences of {generated} tokens, not {sequences} of {tokens}")
    print(json.dumps({"idle": idle, "peak": peak.rss}))


if __name__ == "__main__":
    main()
