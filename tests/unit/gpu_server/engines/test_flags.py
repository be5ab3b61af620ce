"""The command lines of the engines, against the flags that their wheels' own source knows.

tests/support/engine_flags/read.py made the lists.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_server.engines import sglang, vllm
from gpu_server.settings import ModelSettings

LISTS = Path(__file__).parents[3] / "support" / "engine_flags"
EVERYTHING: dict[str, Any] = {
    "model_id": "org/model",
    "max_model_len": 4096,
    "max_model_concurrency": 32,
    "dtype": "bf16",
    "revision": "abc",
    "quantization": "awq",
    "memory_fraction": 0.4,
    "tensor_parallel": 2,
}


def known(engine: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((LISTS / f"{engine}.json").read_text(encoding="utf-8"))
    return told


def line(engine: str, **settings: Any) -> list[str]:
    entry = ModelSettings(**{**EVERYTHING, "engine": engine, **settings})
    if engine == "sglang":
        return sglang.flags(entry, 30000, Path("/keys/config.yaml"))
    return vllm.flags(entry, 30000)


@pytest.mark.parametrize("task", ["generate", "embed"])
@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_every_flag_that_is_passed_exists_in_the_pinned_version(engine: str, task: str) -> None:
    given = {argument for argument in line(engine, task=task) if argument.startswith("--")}
    assert len(given) > 8
    assert given <= set(known(engine)["flags"])


def test_the_lists_are_of_the_pinned_versions() -> None:
    assert known("sglang")["version"] == sglang.PINNED_VERSION
    assert known("vllm")["version"] == vllm.PINNED_VERSION


@pytest.mark.parametrize(
    ("engine", "pairs"),
    [
        (
            "sglang",
            {
                "--context-length": "4096",
                "--max-running-requests": "32",
                "--mem-fraction-static": "0.4",
                "--tp-size": "2",
                "--dtype": "bfloat16",
                "--quantization": "awq",
                "--revision": "abc",
                "--grammar-backend": "llguidance",
                "--served-model-name": "org/model",
                "--host": "127.0.0.1",
            },
        ),
        (
            "vllm",
            {
                "--max-model-len": "4096",
                "--max-num-seqs": "32",
                "--gpu-memory-utilization": "0.4",
                "--tensor-parallel-size": "2",
                "--dtype": "bfloat16",
                "--quantization": "awq",
                "--revision": "abc",
                "--served-model-name": "org/model",
                "--host": "127.0.0.1",
            },
        ),
    ],
)
def test_each_setting_has_its_flag(engine: str, pairs: dict[str, str]) -> None:
    given = line(engine)
    assert {name: given[given.index(name) + 1] for name in pairs} == pairs


def test_a_model_in_a_folder_has_no_revision(tmp_path: Path) -> None:
    for engine in ("sglang", "vllm"):
        given = line(engine, path=tmp_path)
        assert str(tmp_path) in given
        assert "--revision" not in given


def test_vllm_masks_with_guidance_and_without_idle_white_space() -> None:
    given = line("vllm")
    config = json.loads(given[given.index("--structured-outputs-config") + 1])
    assert config == {"backend": "guidance", "disable_any_whitespace": True}
