"""``conduit mdl`` shows what a model is told and held to, and tells which schemas compile."""

import json
import sys
from importlib import resources

import pytest
from typer.testing import CliRunner

from conduit.cli import mdl_check
from conduit.cli.app import app
from conduit.lmlite import LMLiteResource

CODE = '''
from __future__ import annotations

from dataclasses import dataclass

from conduit import ComputeProvider, ModelConfig
from conduit.runtime import LMLiteBlock

print("loaded")
lm = LMLiteBlock(models=[ModelConfig("conduit/tiny")], compute_provider=ComputeProvider.LOCAL)


@dataclass
class Ticket:
    topic: str
    tags: set[str]


@lm.block
def triage(message: str) -> Ticket:
    """Classify a message."""


def plain(count: int) -> list[Ticket]:
    """Make some."""


def untyped(count):
    pass
'''


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file with a block of an ``LMLiteBlock``; starting anything is an error."""

    def started(*_, **__):
        raise AssertionError("a deployment was started")

    monkeypatch.setattr(LMLiteResource, "up", started)
    monkeypatch.setattr(sys, "path", sys.path[:])
    path = tmp_path / "json.py"  # a name that must not stand in for the module
    path.write_text(CODE)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["mdl", *map(str, arguments)])


def shown(*arguments):
    result = run("show", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def checked(*arguments):
    result = run("check", *arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_show_tells_all_of_a_block_and_starts_nothing(file):
    document = shown(f"{file}:triage")
    assert "Classify a message." in document["system"]
    assert document["user"] == "JSON of\nmessage: str"
    assert list(document["schema"]["properties"]) == ["topic", "tags"]
    assert document["lowered"]["x-guidance"] == {"whitespace_flexible": False}
    assert {"path": "$.properties.tags", "keyword": "uniqueItems", "verdict": "validation",
            "note": "left to validation"} in document["report"]  # fmt: skip
    assert document["tokens"]["tokenizer"] == "conduit/tiny"
    assert 10 < document["tokens"]["count"] < 200


def test_show_takes_functions_and_types(file):
    assert shown(f"{file}:plain")["schema"]["type"] == "array"
    assert shown(f"{file}:Ticket")["text"] == "topic: str\ntags: List[str](unique)"


def test_show_is_readable(file):
    result = run("show", f"{file}:triage", "--engine", "xgrammar")
    assert result.exit_code == 0
    assert "── lowered for xgrammar ──" in result.stdout
    assert "left to validation" in result.stdout
    assert "tokens of conduit/tiny" in result.stdout
    assert "loaded" not in result.stdout


def test_show_says_where_an_engine_refuses(file):
    document = shown(f"{file}:plain", "--engine", "openai")
    assert document["lowered"] is None
    assert document["refused"]["code"] == "mdl.unsupported_schema"


def test_tokens_are_counted_with_the_tokenizer_given(file):
    folder = resources.files("conduit.lmlite") / "tiny"
    tokens = shown(f"{file}:triage", "--tokenizer", folder)["tokens"]
    assert tokens == {"tokenizer": str(folder), "count": shown(f"{file}:triage")["tokens"]["count"]}


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("{file}:nothing", "There is no nothing"),
        ("{file}:untyped", "has no annotation"),
        ("{file}", "names a file only"),
        ("{folder}/absent.py:x", "There is no file"),
        ("{folder}/broken.py:x", "ZeroDivisionError"),
        ("{file}:Ticket --tokenizer {folder}/absent", "There is no tokenizer"),
    ],
)
def test_what_cannot_be_shown_is_said_with_code_1(file, target, says):
    (file.parent / "broken.py").write_text("1 / 0\n")
    result = run("show", *target.format(file=file, folder=file.parent).split())
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_check_compiles_all_blocks_and_records_of_a_file(file):
    code, document = checked(file)
    assert code == 0
    assert [result["name"].rsplit(":", 1)[1] for result in document["checked"]] == ["Ticket", "triage"]
    assert all(result["ok"] and result["compile_ms"] > 0 for result in document["checked"])
    assert document["checked"][0]["verdicts"]["validation"] == 1


def test_check_compiles_a_json_schema(tmp_path):
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}')
    code, document = checked(path)
    assert (code, document["ok"]) == (0, True)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ('{"$ref": "#"}', "nothing in between"),
        ('{"allOf": [{"type": "string"}, {"type": "null"}]}', "incompatible types"),
    ],
)
def test_check_gives_the_reason_and_code_1(tmp_path, schema, says):
    path = tmp_path / "schema.json"
    path.write_text(schema)
    code, document = checked(path)
    assert code == 1
    assert says in document["checked"][0]["message"]
    assert says in run("check", path).stdout


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]"])
def test_check_of_what_is_no_schema_is_an_error(tmp_path, text):
    path = tmp_path / "schema.json"
    path.write_text(text)
    result = run("check", path)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")


def test_a_compiler_that_does_not_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(mdl_check, "TIME_LIMIT_S", 0.01)
    path = tmp_path / "schema.json"
    path.write_text('{"type": "string"}')
    code, document = checked(path)
    assert code == 1
    assert "did not end within 0.01 s" in document["checked"][0]["message"]


def test_a_compiler_that_dies_is_reported(tmp_path, monkeypatch):
    killer = tmp_path / "killer"
    killer.write_text("#!/bin/sh\nkill -SEGV $$\n")
    killer.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(killer))
    path = tmp_path / "schema.json"
    path.write_text('{"type": "string"}')
    code, document = checked(path)
    assert code == 1
    assert "died of SIGSEGV" in document["checked"][0]["message"]


@pytest.mark.parametrize(("package", "arguments"), [
    ("llguidance", ("check", "{file}")),
    ("tokenizers", ("show", "{file}:triage", "--tokenizer", "x")),
])  # fmt: skip
def test_a_missing_part_is_named_with_how_to_get_it(file, monkeypatch, package, arguments):
    monkeypatch.setitem(sys.modules, package, None)
    result = run(*(argument.format(file=file) for argument in arguments))
    assert result.exit_code == 1
    assert f"needs the package {package}" in result.stderr
    assert "pip install 'conduit-dataflow[grammar]'" in result.stderr


def test_without_a_tokenizer_package_the_rest_is_shown(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert shown(f"{file}:triage")["tokens"] is None
