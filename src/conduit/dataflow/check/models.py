"""The LMLites of a file: whether there are such models, whether they fit, and whether a prompt fits a model.

Nobody is asked: the facts are those of folders and of the catalogs that ship with Conduit.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import psutil

from conduit import planner
from conduit.compute import ComputeProvider
from conduit.dataflow.answered import Answered
from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.source import Definition
from conduit.errors import (
    ArgumentInvalid,
    ConduitError,
    ModelDoesNotFit,
    ModelNotFound,
    ModelUnsupported,
    NothingFits,
)
from conduit.lmlite import LMLiteResource, ModelConfig
from conduit.lmlite.config import ResourceConfig
from conduit.lmlite.nodes import memory, planning
from conduit.lmlite.nodes.model_files import located
from conduit.planner import catalog

_LONGEST_TOKEN = 16
"""Characters of text that one token of a vocabulary stands for, at the very most on average."""


def of(namespace: dict[str, Any]) -> dict[str, LMLiteResource]:
    """The LMLites of a file by the name that each has first."""
    found: dict[int, tuple[str, LMLiteResource]] = {}
    for name, value in namespace.items():
        if isinstance(value, LMLiteResource):
            found.setdefault(id(value), (name, value))
    return dict(found.values())


def check(lm: LMLiteResource, at: ast.AST | None, notes: Notes) -> None:
    """Notes models that there are not, and machines that do not hold them."""
    known = True
    for model in lm.config.models:
        known = _is_there(lm, model, _place(at, model.model_id), notes) and known
    if known and not all(model.attached for model in lm.config.models):
        _holds(lm, at, notes)


def _is_there(lm: LMLiteResource, model: ModelConfig, at: ast.AST | None, notes: Notes) -> bool:
    """Whether a model's facts are to be had."""
    try:
        located(model, lm.settings)
    except ModelNotFound as error:
        notes.add("check.model", at, error.message, error.hint)
        return False
    try:
        planning.requests(_alone(lm, model), lm.settings)
    except ModelNotFound:
        notes.add(
            "check.model_unknown", at,
            f"Whether there is a model {model.model_id} cannot be told here: it is no folder, and not in the "
            "catalog that ships with Conduit.",
            f"Look it up: https://huggingface.co/{model.model_id}. `conduit plan --online` asks the hub.",
        )  # fmt: skip
        return False
    except ModelUnsupported:
        return False
    except ArgumentInvalid as error:
        notes.add("check.resources", at, error.message, error.hint)
        return False
    return True


def _alone(lm: LMLiteResource, model: ModelConfig) -> ResourceConfig:
    return replace(lm.config, models=(model,))


def _holds(lm: LMLiteResource, at: ast.AST | None, notes: Notes) -> None:
    config = lm.config
    try:
        requests = planning.requests(config, lm.settings)
        if config.provider == ComputeProvider.LOCAL:
            _this_machine_holds(lm)
        elif config.provider == ComputeProvider.RUNPOD:
            planner.plan(
                requests,
                catalog.offerings(),
                tuple(sorted(config.constraints)),
                gpu=config.gpu,
                num_gpus=config.num_gpus,
                regions=config.regions,
                max_usd_per_hour=config.max_usd_per_hour,
                replicas=config.replicas,
            )
    except (NothingFits, ModelDoesNotFit) as error:
        notes.add("check.resources", at, error.message, error.hint)
    except ConduitError:
        return  # cannot be reckoned


def _this_machine_holds(lm: LMLiteResource) -> None:
    """Compares with all memory that there is: how much is free changes."""
    embedded = [(model, located(model, lm.settings)) for model in lm.config.models if model.embedded]
    memory.check_fit(embedded, lm.config.replicas, available=int(psutil.virtual_memory().total))


def check_block(block: BlockBase, node: Definition | None, notes: Notes) -> None:
    """Notes that a block asks for a model that its LMLite has not, or that its prompt does not fit the model."""
    definition = block.definition
    if not isinstance(definition, Answered) or node is None:
        return
    lm, asked, max_tokens = definition.asks
    try:
        model = lm.config.model(lm.model_id_of(asked))
    except (ModelNotFound, ArgumentInvalid) as error:
        at: ast.AST = node
        for decorator in node.decorator_list:
            words = decorator.keywords if isinstance(decorator, ast.Call) else []
            at = next((word.value for word in words if word.arg == "model_id"), decorator)
        notes.add("check.model_id", at, error.message, error.hint)
        return
    try:
        prompt = definition.prompt
    except ConduitError:
        return  # noted with the definition
    least = len(prompt.system) // _LONGEST_TOKEN
    wanted = max_tokens or 1
    if least + wanted > model.max_model_len:
        notes.add(
            "check.prompt", node,
            f"{definition.name}: its prompt of {len(prompt.system)} characters and an answer of {wanted} tokens do "
            f"not fit the {model.max_model_len} tokens of {model.model_id}.",
            "Raise max_model_len in its ModelConfig, lower max_tokens, or shorten the docstring and the examples.",
        )  # fmt: skip


def _place(at: ast.AST | None, text: str) -> ast.AST | None:
    """Where a text stands in a statement; the statement where it does not."""
    if at is None:
        return None
    return next((n for n in ast.walk(at) if isinstance(n, ast.Constant) and n.value == text), at)
