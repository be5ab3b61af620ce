"""Gets a model into mistral.rs: finds its files, checks them, chooses how it runs. Failures are `LoadError`s."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_server.engines.base import LoadError
from gpu_server.engines.cpu import kernel_threads
from gpu_server.settings import ModelSettings

if TYPE_CHECKING:
    from mistralrs import Runner

    from gpu_server.engines.prompt import PromptCounter

DEFAULT_DTYPE = "f32"
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja")


def prepare_process(models: Sequence[ModelSettings]) -> None:
    """Set what the engine reads from the environment; what is set already wins. Call before making an engine.

    Args:
        models: All models that this process will load: they share the kernel threads.
    """
    os.environ.setdefault("RAYON_NUM_THREADS", str(kernel_threads(model.path for model in models)))
    # A half-precision KV cache rounds differently in batches of different size, so greedy answers would depend on
    # who else is running.
    os.environ.setdefault("MISTRALRS_CPU_KV_F32", "1")
    os.environ.setdefault("RUST_LOG", "warn")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def effective_settings(settings: ModelSettings) -> dict[str, str]:
    """Return what was chosen where the configuration left it open."""
    return {
        "dtype": settings.dtype or DEFAULT_DTYPE,
        "kernel_threads": os.environ.get("RAYON_NUM_THREADS", "all"),
    }


def load_model(settings: ModelSettings) -> tuple[Runner, PromptCounter]:
    """Load the model and the counter of its prompts. Blocks, and holds the interpreter while the weights are read.

    Raises:
        LoadError: With the reason for the operator.
    """
    try:
        import mistralrs

        from gpu_server.engines.prompt import PromptCounter, read_json
    except ImportError as error:
        raise LoadError(
            f"the engine is not installed ({error.name}): pip install 'conduit-gpu-server[mistralrs]'"
        ) from error
    folder = settings.path or _from_hub(settings)
    if not folder.is_dir():
        raise LoadError(f"the model folder {folder} does not exist")
    config = read_json(folder / "config.json")
    longest = config.get("max_position_embeddings")
    if isinstance(longest, int) and settings.max_model_len > longest:
        raise LoadError(
            f"max_model_len={settings.max_model_len} is more than the model's own max_position_embeddings={longest}"
        )
    prompt = PromptCounter(folder)
    dtypes = {
        "f32": mistralrs.ModelDType.F32,
        "bf16": mistralrs.ModelDType.BF16,
        "f16": mistralrs.ModelDType.F16,
        "auto": mistralrs.ModelDType.Auto,
    }
    which: Any = mistralrs.Which.Plain(
        model_id=str(folder),
        arch=_architecture(mistralrs.Architecture, config),
        dtype=dtypes[settings.dtype or DEFAULT_DTYPE],
    )
    try:
        runner = mistralrs.Runner(
            which=which,
            max_seqs=settings.max_model_concurrency,
            no_paged_attn=True,
            # The engine's prefix cache sets apart sequences that reuse prefixes of different length: they never
            # share a step. It also grows without bound, and panics where a sequence outgrows its block.
            prefix_cache_n=0,
            in_situ_quant=settings.quantization,
        )
    except Exception as error:
        raise LoadError(first_line(error)) from error
    except BaseException as error:  # a panic of the engine arrives as a BaseException of its own
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise LoadError(f"the engine panicked: {first_line(error)}") from error
    return runner, prompt


def first_line(error: BaseException) -> str:
    """The engine's messages go on with a backtrace, or with its parser's state, which quotes the answer."""
    lines = [line.strip() for line in str(error).partition("\n<state>")[0].splitlines() if line.strip()]
    kept = [line for line in lines[:4] if not line[:2].rstrip(":").isdigit() and set(line) != {"^"}]
    return " ".join(kept)[:400] or type(error).__name__


def _architecture(known: Any, config: dict[str, Any]) -> Any:
    """Map `Qwen3ForCausalLM` to the engine's name; None lets the engine find out."""
    names = config.get("architectures") or [""]
    wanted = str(names[0]).removesuffix("ForCausalLM").lower()
    found = {name.lower(): getattr(known, name) for name in dir(known) if not name.startswith("_")}
    return found.get(wanted)


def _from_hub(settings: ModelSettings) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            settings.model_id, revision=settings.revision, allow_patterns=list(_HUB_FILES), max_workers=4
        )
    except Exception as error:
        raise LoadError(
            f"cannot fetch {settings.model_id!r} from the model hub: {first_line(error)}"
        ) from error
    return Path(folder)
