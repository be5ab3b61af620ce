"""The engine driven directly, in a process that does nothing else: what a server before it is measured against.

Orders come as lines of JSON on standard input, {"prompts", "max_tokens", "ignore_eos"}; the answer to each is a
line {"cpu_s", "wall_s", "texts"}. Several prompts run at the same time, each read by a thread of its own.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import mistralrs


def main() -> None:
    folder, places = sys.argv[1], int(sys.argv[2])
    runner = mistralrs.Runner(
        which=mistralrs.Which.Plain(
            model_id=folder, arch=mistralrs.Architecture.Qwen3, dtype=mistralrs.ModelDType.F32
        ),
        max_seqs=places,
        no_paged_attn=True,
        prefix_cache_n=0,
    )
    for line in sys.stdin:
        order = json.loads(line)
        cpu, wall = time.process_time(), time.perf_counter()
        texts = run(runner, **order)
        print(
            json.dumps(
                {
                    "cpu_s": time.process_time() - cpu,
                    "wall_s": time.perf_counter() - wall,
                    "texts": texts,
                }
            ),
            flush=True,
        )


def run(runner: mistralrs.Runner, prompts: list[str], max_tokens: int, *, ignore_eos: bool) -> list[str]:
    texts = [""] * len(prompts)

    def drain(number: int, stream: Any) -> None:
        texts[number] = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    threads = []
    for number, prompt in enumerate(prompts):
        request = mistralrs.ChatCompletionRequest(
            messages=[{"role": "user", "content": prompt}],
            model="default",
            stream=True,
            max_tokens=max_tokens,
            temperature=0.0,
            ignore_eos=ignore_eos,
        )
        stream = runner.send_chat_completion_request(request)  # not from several threads: the engine refuses
        threads.append(threading.Thread(target=drain, args=(number, stream)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return texts


if __name__ == "__main__":
    main()
