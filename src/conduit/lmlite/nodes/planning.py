"""From an LMLite's configuration to what the planner is asked: each model's facts, and its load.

The facts come from the model's folder, from the catalog that ships with Conduit, or, when that is allowed, from the
Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from conduit import planner
from conduit.errors import ModelNotFound
from conduit.lmlite.config import ModelConfig, ResourceConfig
from conduit.lmlite.nodes import hub_facts
from conduit.lmlite.nodes.model_files import locate
from conduit.planner import ModelRequest, ModelSpec, catalog
from conduit.settings import Settings

Fetch = Callable[[str, str | None], ModelSpec]
"""Asks the hub for the facts of a model id and revision."""


def requests(config: ResourceConfig, settings: Settings, *, hub: bool = False) -> list[ModelRequest]:
    """What the planner is asked for the models that a replica runs itself.

    Args:
        config: The LMLite's.
        settings: Model ids that others are loaded for, and the hub's token.
        hub: Ask the hub about a model that is neither a folder nor in the catalog.

    Raises:
        ModelNotFound: A model's facts are not to be had.
        ModelUnsupported: Its memory cannot be reckoned.
        ArgumentInvalid: Its ``max_model_len`` is longer than it was made for.
    """
    token = None if settings.hf_token is None else settings.hf_token.get_secret_value()

    def fetch(model_id: str, revision: str | None) -> ModelSpec:
        return hub_facts.fetch(model_id, revision, token=token)

    asked = [model for model in config.models if not model.attached]
    return [_request(model, settings, fetch if hub else None) for model in asked]


def _request(model: ModelConfig, settings: Settings, fetch: Fetch | None) -> ModelRequest:
    loaded = settings.model_aliases.get(model.model_id, model.model_id)
    spec = spec_of(replace(model, model_id=loaded), fetch)
    if loaded != model.model_id:  # a stand-in is held to nothing that its original promises
        spec = replace(spec, max_context=None)
    return ModelRequest(
        model_id=model.model_id,
        spec=spec,
        engine=model.engine or "mistralrs",
        max_model_len=model.max_model_len,
        max_model_concurrency=model.max_model_concurrency,
        dtype=model.dtype,
        quantization=model.quantization,
        memory_fraction=model.memory_fraction,
        tensor_parallel=model.tensor_parallel if model.tensor_parallel > 1 else None,
    )


def spec_of(model: ModelConfig, fetch: Fetch | None = None) -> ModelSpec:
    """A model's facts.

    Raises:
        ModelNotFound: They are not to be had.
        ModelUnsupported: Its memory cannot be reckoned.
    """
    files = locate(model)
    if files.path is not None:
        return planner.ModelSpec.from_config(files.config() or {}, files.checkpoint_bytes())
    listed = catalog.facts(model.model_id) if model.revision is None else None
    if listed is not None:
        return listed
    if fetch is not None:
        return fetch(model.model_id, model.revision)
    raise ModelNotFound(
        f"The catalog of {len(catalog.model_ids())} models has no facts about {model.model_id}"
        f"{'' if model.revision is None else ' at revision ' + model.revision}.",
        hint="Plan with --online to ask the Hugging Face hub, or give the model's folder in place of its id.",
        model_id=model.model_id,
    )
