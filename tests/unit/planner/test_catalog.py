"""The shipped facts are right: every checkpoint is counted tensor by tensor from its configuration."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from conduit.compute import GPUS
from conduit.planner import catalog, estimate
from support.checkpoint_count import checkpoint_bytes

MODELS = json.loads(resources.files(catalog.__name__).joinpath("models.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("model_id", MODELS["models"])
def test_a_checkpoint_has_the_bytes_of_its_tensors(model_id):
    entry = MODELS["models"][model_id]
    spec = catalog.facts(model_id)
    assert spec is not None
    counted = checkpoint_bytes(entry["config"], embeddings=2 if spec.stored_twice else None)
    assert counted == pytest.approx(entry["checkpoint_bytes"], rel=0.01)
    assert entry["source"].startswith(f"https://huggingface.co/{model_id}/")


def test_the_catalog_is_large_and_dated():
    assert len(catalog.model_ids()) >= 40
    assert MODELS["dated"]


def test_a_model_is_found_in_small_letters_too_and_another_is_not():
    assert catalog.facts("qwen/qwen3-8b") == catalog.facts("Qwen/Qwen3-8B")
    assert catalog.facts("Qwen/Qwen3-9B") is None


@pytest.mark.parametrize("model_id", ["Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B"])
def test_of_a_matrix_that_the_files_hold_twice_one_is_loaded(model_id):
    spec = catalog.facts(model_id)
    assert spec is not None
    once = checkpoint_bytes(MODELS["models"][model_id]["config"])
    assert estimate(spec).weights_bytes == pytest.approx(once, rel=0.01)


def test_list_prices_have_a_date_and_a_source_and_rise_with_the_number_of_gpus():
    text = resources.files(catalog.__name__).joinpath("offerings.json").read_text(encoding="utf-8")
    assert all(row["dated"] and row["source"] for row in json.loads(text)["offerings"])
    l4 = [o for o in catalog.offerings() if o.name == GPUS.NVIDIA_L4 and o.secure]
    assert [o.gpu_count for o in l4] == [1, 2, 4, 8]
    assert [round(o.usd_per_hour / o.gpu_count, 6) for o in l4] == [l4[0].usd_per_hour] * 4
    assert all(o.memory_gib > 0 and o.compute_capability for o in catalog.offerings())
