"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import conduit


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=50
    )
    return set(run.stdout.split())


def test_importing_conduit_loads_next_to_nothing() -> None:
    loaded = loaded_by("import conduit")
    heavy = {"prefect", "pydantic", "httpx", "anyio", "sqlalchemy", "conduit.dataflow", "conduit.lmlite"}
    assert not loaded & heavy


def test_no_public_name_loads_prefect() -> None:
    names = ", ".join(conduit.__all__)
    assert "prefect" not in loaded_by(f"from conduit import {names}")
    assert "prefect" not in loaded_by("import conduit.runtime, conduit.conduit_types, conduit.testing")


def test_plain_blocks_load_no_model_resource() -> None:
    assert not loaded_by("from conduit import block") & {"conduit.lmlite", "httpx", "sqlalchemy"}


def test_all_public_names_exist() -> None:
    for name in conduit.__all__:
        assert getattr(conduit, name) is not None
        assert name in dir(conduit)
    with pytest.raises(AttributeError, match="nothing"):
        _ = conduit.nothing


def test_the_documents_names_are_the_same_objects() -> None:
    from conduit import conduit_types, runtime

    assert conduit_types.GPUS is conduit.GPUS
    assert runtime.LMLite is conduit.LMLite
    assert issubclass(runtime.LMLiteBlock, conduit.LMLite)
