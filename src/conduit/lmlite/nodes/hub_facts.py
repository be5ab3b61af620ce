"""A model's facts from the Hugging Face hub: its ``config.json``, and how many bytes its weights have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from conduit.errors import ModelNotFound
from conduit.planner import ModelSpec

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S = 10.0
_WEIGHTS = (".safetensors", ".gguf", ".bin")


def fetch(
    model_id: str, revision: str | None, *, token: str | None, transport: httpx.BaseTransport | None = None
) -> ModelSpec:
    """Asks the hub that ``HF_ENDPOINT`` names, or huggingface.co.

    Args:
        model_id: The repository.
        revision: Of it; None for its main branch.
        token: For gated models.
        transport: In place of the network.

    Raises:
        ModelNotFound: The hub has no such model, does not show it, or cannot be reached.
        ModelUnsupported: Its memory cannot be reckoned.
    """
    import httpx

    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    at = revision or "main"
    try:
        with httpx.Client(
            headers=headers, timeout=_TIMEOUT_S, follow_redirects=True, transport=transport
        ) as client:
            config = _get(client, f"{base}/{model_id}/resolve/{at}/config.json", model_id)
            listed = _get(client, f"{base}/api/models/{model_id}/tree/{at}", model_id)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ModelNotFound(
            f"The hub gave no facts about {model_id}: {type(error).__name__}.",
            hint="Plan from the catalog or from the model's folder, or try again later.",
            model_id=model_id,
        ) from error
    if not isinstance(config, Mapping):
        raise _not_a_model(model_id)
    return ModelSpec.from_config(config, _weights(listed, model_id))


def _get(client: httpx.Client, url: str, model_id: str) -> Any:
    answer = client.get(url)
    if answer.status_code in (401, 403):
        raise ModelNotFound(
            f"The hub does not show {model_id} (HTTP {answer.status_code}): it is gated, private, or not there.",
            hint="Accept its terms on its page, and set HF_TOKEN to a token of your account.",
            model_id=model_id,
        )
    if answer.status_code == 404:
        raise _not_a_model(model_id)
    answer.raise_for_status()
    return answer.json()


def _weights(listed: Any, model_id: str) -> int:
    """Bytes of the weights, in the first of the forms that there is."""
    files = [file for file in listed if isinstance(file, Mapping)] if isinstance(listed, list) else []
    for ending in _WEIGHTS:
        sizes = [file.get("size") for file in files if str(file.get("path", "")).endswith(ending)]
        total = sum(size for size in sizes if isinstance(size, int))
        if total:
            return total
    raise _not_a_model(model_id)


def _not_a_model(model_id: str) -> ModelNotFound:
    return ModelNotFound(
        f"The hub has no weights and configuration of a model {model_id}.",
        hint="Look at the id and the revision on huggingface.co.",
        model_id=model_id,
    )
