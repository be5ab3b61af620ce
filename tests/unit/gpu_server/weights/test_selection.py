"""Which files of a model are fetched: its weights once, and what reads them."""

import json

import pytest

from gpu_server.engines.base import LoadError
from gpu_server.weights.base import RemoteFile
from gpu_server.weights.selection import INDEX, index_of, needed, parts_of


def files(*paths, **sizes):
    return [RemoteFile(path, sizes.get(path.partition(".")[0], 10)) for path in paths]


def chosen(*paths, parts=None):
    return {file.path for file in needed(files(*paths), parts)}


def test_small_files_come_with_one_set_of_weights():
    assert chosen(
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "merges.txt",
        "chat_template.jinja", "modeling_x.py", "1_Pooling/config.json", "model.safetensors", "README.md",
        ".gitattributes", "LICENSE", "figure.png",
    ) == {
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "merges.txt",
        "chat_template.jinja", "modeling_x.py", "1_Pooling/config.json", "model.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize(
    "double",
    [
        "pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.safetensors", "tf_model.h5",
        "original/consolidated.00.pth", "original/params.json", "metal/model.bin", "onnx/config.json",
        "model.gguf", "flax_model.msgpack", "adapter_model.safetensors",
    ],
)  # fmt: skip
def test_the_same_weights_in_another_form_stay_where_they_are(double):
    assert double not in chosen("config.json", "model.safetensors", double)


def test_an_index_says_which_weights_there_are():
    parts = parts_of(json.dumps({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}))
    found = chosen(INDEX, "m-1.safetensors", "m-2.safetensors", "model.safetensors", parts=parts)
    assert found == {INDEX, "m-1.safetensors", "m-2.safetensors"}
    assert index_of(files("a.json", INDEX)) is not None


def test_the_small_files_come_first():
    assert [
        file.path for file in needed(files("model.safetensors", "tokenizer.json", "config.json"), None)
    ] == [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize(
    ("given", "parts", "said"),
    [
        (files("config.json"), None, "has no .safetensors files: choose"),
        (files("config.json", "pytorch_model.bin"), None, "only pickled ones"),
        (files("config.json", "model.safetensors", model=0), None, "zero bytes"),
        (
            files(INDEX),
            frozenset({"m-1.safetensors"}),
            "names m-1.safetensors, which the model does not have",
        ),
    ],
)
def test_a_model_without_usable_weights_is_refused(given, parts, said):
    with pytest.raises(LoadError, match=said):
        needed(given, parts)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', "<html>"])
def test_what_is_no_index_is_refused(text):
    with pytest.raises(LoadError, match="is no index of weights"):
        parts_of(text)
