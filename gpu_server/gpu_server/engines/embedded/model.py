"""Gets a model into mistral.rs: checks its files, chooses how it runs. Failures are `LoadError`s."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_server.engines.base import LoadError
from gpu_server.engines.embedded.orders import LoadOrder

if TYPE_CHECKING:
    from mistralrs import Runner

    from gpu_server.engines.embedded.prompt import Prompts

RAW_ROLE = "conduit_raw_prompt"
"""A single message of this role is taken as it is. No chat template of a model knows it."""
_RAW_TEMPLATE = (
    "{%- if messages[0]['role'] == 'ROLE' -%}{{- messages[0]['content'] -}}{%- else -%}REST{%- endif -%}"
)


def load_model(order: LoadOrder) -> tuple[Runner, Prompts]:
    """Load the model and the reader of its prompts. Blocks, and holds the interpreter while the weights are read.

    Raises:
        LoadError: With the reason for the operator.
    """
    try:
        import mistralrs

        from gpu_server.engines.embedded.prompt import Prompts, read_json
    except ImportError as error:
        raise LoadError(
            f"the engine is not installed ({error.name}): pip install 'conduit-gpu-server[mistralrs]'"
        ) from error
    folder = Path(order.path)
    try:
        if not folder.is_dir():
            raise LoadError(f"the model folder {folder} does not exist")
    except PermissionError as error:
        raise LoadError(f"the model folder {folder} may not be read by the user that this runs as") from error
    config = read_json(folder / "config.json")
    longest = config.get("max_position_embeddings")
    if isinstance(longest, int) and order.max_model_len > longest:
        raise LoadError(
            f"max_model_len={order.max_model_len} is more than the model's own max_position_embeddings={longest}"
        )
    embeds = order.task == "embed"
    prompts = Prompts(folder, chat=not embeds)
    dtypes = {
        "f32": mistralrs.ModelDType.F32,
        "bf16": mistralrs.ModelDType.BF16,
        "f16": mistralrs.ModelDType.F16,
        "auto": mistralrs.ModelDType.Auto,
    }
    known = mistralrs.EmbeddingArchitecture if embeds else mistralrs.Architecture
    which: Any = (mistralrs.Which.Embedding if embeds else mistralrs.Which.Plain)(
        model_id=str(folder),
        arch=_architecture(known, config, suffix="embedding" if embeds else ""),
        dtype=dtypes[order.dtype],
    )
    with tempfile.TemporaryDirectory(prefix="conduit-template-") as scratch:
        template = None
        if prompts.template is not None:
            file = Path(scratch) / "chat_template.jinja"
            file.write_text(_with_raw_prompts(prompts.template), encoding="utf-8")
            template = str(file)
        try:
            runner = mistralrs.Runner(
                which=which,
                max_seqs=order.max_model_concurrency,
                no_paged_attn=True,
                # The engine's prefix cache sets apart sequences that reuse prefixes of different length: they never
                # share a step. It also grows without bound, and panics where a sequence outgrows its block.
                prefix_cache_n=0,
                in_situ_quant=order.quantization,
                jinja_explicit=template,
            )
        except Exception as error:
            raise LoadError(first_line(error)) from error
        except BaseException as error:  # a panic of the engine arrives as a BaseException of its own
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise LoadError(f"the engine panicked: {first_line(error)}") from error
    return runner, prompts


def first_line(error: BaseException) -> str:
    """The engine's messages go on with a backtrace, or with its parser's state, which quotes the answer."""
    lines = [line.strip() for line in str(error).partition("\n<state>")[0].splitlines() if line.strip()]
    kept = [line for line in lines[:4] if not line[:2].rstrip(":").isdigit() and set(line) != {"^"}]
    return " ".join(kept)[:400] or type(error).__name__


def _with_raw_prompts(template: str) -> str:
    """The engine puts plain text into the chat template, too; so the template itself must let it through."""
    return _RAW_TEMPLATE.replace("ROLE", RAW_ROLE).replace("REST", template)


def _architecture(known: Any, config: dict[str, Any], suffix: str) -> Any:
    """Map `Qwen3ForCausalLM` to the engine's name; None lets the engine find out."""
    names = config.get("architectures") or [""]
    wanted = str(names[0]).removesuffix("ForCausalLM").removesuffix("Model").lower() + suffix
    found = {name.lower(): getattr(known, name) for name in dir(known) if not name.startswith("_")}
    return found.get(wanted)
