import json
import os

import pytest

from conduit.errors import ModelDoesNotFit, ModelNotFound
from conduit.lmlite.config import ModelConfig
from conduit.lmlite.nodes.memory import check_fit
from conduit.lmlite.nodes.model_files import ModelFiles, locate, located
from conduit.settings import Settings

QWEN = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 64,
    "torch_dtype": "float32",
}


def folder(path, config=None, weights=1000):
    path.mkdir()
    (path / "config.json").write_text(json.dumps(QWEN if config is None else config))
    (path / "model.safetensors").write_bytes(b"0" * weights)
    return path


def test_a_folder_is_itself(tmp_path):
    path = folder(tmp_path / "m")
    found = locate(ModelConfig(str(path)))
    assert found.path == path
    assert found.checkpoint_bytes() == 1000
    assert found.config() == QWEN


def test_what_another_server_has_is_not_looked_for():
    found = locate(ModelConfig("llama3.2", engine="openai", url="http://127.0.0.1:11434/v1"))
    assert found.path is None


def test_only_the_embedded_engine_takes_this_machines_memory(tmp_path):
    config = ModelConfig(str(folder(tmp_path / "m", weights=5000)), engine="sglang")
    check_fit([(config, locate(config))], 1, available=0)
    embedded = ModelConfig(config.model_id, engine="mistralrs")
    with pytest.raises(ModelDoesNotFit):
        check_fit([(embedded, locate(embedded))], 1, available=0)


def test_a_folder_without_config_is_no_model(tmp_path):
    with pytest.raises(ModelNotFound, match=r"no config\.json") as caught:
        locate(ModelConfig(str(tmp_path)))
    assert "Hugging Face layout" in caught.value.hint


@pytest.mark.parametrize("model_id", ["/no/such/folder", "just-a-name", "a/b/c", "../up", "a b/c"])
def test_what_is_neither_folder_nor_hub_id_is_not_found(model_id):
    with pytest.raises(ModelNotFound) as caught:
        locate(ModelConfig(model_id))
    assert caught.value.model_id == model_id
    assert "conduit/tiny" in caught.value.hint


def test_a_hub_id_passes_through():
    assert locate(ModelConfig("Qwen/Qwen3-0.6B")) == ModelFiles("Qwen/Qwen3-0.6B", None, "hub:")


def test_the_revision_of_a_hub_id_is_told_apart():
    one, two = (locate(ModelConfig("Qwen/Qwen3-0.6B", revision=r)) for r in (None, "abc"))
    assert one.fingerprint != two.fingerprint


def test_changed_weights_change_the_fingerprint(tmp_path):
    path = folder(tmp_path / "m")
    before = locate(ModelConfig(str(path))).fingerprint
    assert locate(ModelConfig(str(path))).fingerprint == before
    os.utime(path / "model.safetensors", ns=(1, 1))
    assert locate(ModelConfig(str(path))).fingerprint != before


def test_a_broken_config_is_told_with_its_path(tmp_path):
    path = folder(tmp_path / "m")
    (path / "config.json").write_text("{")
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        locate(ModelConfig(str(path))).config()


def test_what_is_loaded_in_a_models_place_is_what_is_located_under_the_models_name(tmp_path):
    path, asked = folder(tmp_path / "m"), ModelConfig("owner/large")
    found = located(asked, Settings(model_aliases={"owner/large": str(path)}))
    assert (found.model_id, found.path) == ("owner/large", path)
    assert located(ModelConfig("owner/other"), Settings(model_aliases={"owner/large": "x/y"})).path is None


def test_another_stand_in_changes_the_fingerprint_and_so_does_none():
    prints = {
        located(ModelConfig("owner/large"), Settings(model_aliases=aliases)).fingerprint
        for aliases in ({}, {"owner/large": "owner/a"}, {"owner/large": "owner/b"})
    }
    assert len(prints) == 3


def test_a_stand_in_that_is_no_model_is_named():
    with pytest.raises(ModelNotFound, match="just-a-name"):
        located(ModelConfig("owner/large"), Settings(model_aliases={"owner/large": "just-a-name"}))


def test_replicas_that_do_not_fit_are_refused_with_the_numbers(tmp_path):
    config = ModelConfig(str(folder(tmp_path / "m")), max_model_len=1024, max_model_concurrency=4)
    models = [(config, locate(config))]
    # 2 layers x 2 (K, V) x 2 heads x 16 wide x 4 bytes = 512 bytes a token, 4 x 1024 tokens, 1000 of weights
    needed = 512 * 4096 + 1000
    check_fit(models, 2, available=2 * needed)
    with pytest.raises(ModelDoesNotFit, match="2 replicas") as caught:
        check_fit(models, 2, available=2 * needed - 1)
    assert (caught.value.needed_bytes, caught.value.available_bytes) == (2 * needed, 2 * needed - 1)


def test_of_a_model_that_the_planner_cannot_reckon_the_weights_are_weighed(tmp_path):
    config = ModelConfig(str(folder(tmp_path / "m", {"model_type": "unheard-of"})))
    models = [(config, locate(config))]
    check_fit(models, 1, available=1000)
    with pytest.raises(ModelDoesNotFit):
        check_fit(models, 1, available=999)


def test_a_hub_model_is_not_weighed():
    config = ModelConfig("Qwen/Qwen3-0.6B")
    check_fit([(config, locate(config))], 8, available=0)
