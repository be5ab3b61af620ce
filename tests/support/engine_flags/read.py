"""Read the flags of an engine from the source in its wheel, without importing it, and keep them as JSON here.

Usage: python read.py sglang-….whl vllm-….whl

The wheels are hundreds of megabytes and need a GPU to import; what they accept is in their source. The JSON files
are what tests/unit/gpu_server/engines/test_flags.py compares our command lines with: run this again when a version
moves.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

SOURCES = {
    "sglang": ("sglang/srt/server_args.py", "sglang/srt/arg_groups/fields/"),
    "vllm": ("vllm/engine/arg_utils.py", "vllm/entrypoints/common/cli_args.py"),
}
FIELDS_ARE_FLAGS = ("sglang/srt/arg_groups/fields/", "vllm/entrypoints/common/cli_args.py")


def read(wheel: Path) -> dict[str, object]:
    """Return the engine's name and version, and its flags in order."""
    name, version = wheel.name.split("-")[:2]
    flags: set[str] = set()
    with ZipFile(wheel) as archive:
        for path in archive.namelist():
            if path.startswith(SOURCES[name]) and path.endswith(".py"):
                tree = ast.parse(archive.read(path))
                flags.update(_spelled(tree))
                if path.startswith(FIELDS_ARE_FLAGS):
                    flags.update(_fields(tree))
    return {"engine": name, "version": version, "flags": sorted(flags)}


def _spelled(tree: ast.AST) -> Iterator[str]:
    """Yield the flags that `add_argument` is called with, and the other names that a field gives itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            values = node.args if called == "add_argument" else []
            if called == "Arg":
                values = [word.value for word in node.keywords if word.arg in ("aliases", "cli_name")]
            for value in values:
                yield from (
                    text.value
                    for text in ast.walk(value)
                    if isinstance(text, ast.Constant) and str(text.value).startswith("--")
                )


def _fields(tree: ast.Module) -> Iterator[str]:
    """Yield a flag for each annotated field of a class, but for those that say they have none."""
    for group in tree.body:
        if isinstance(group, ast.ClassDef):
            for field in group.body:
                if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                    continue
                if not field.target.id.startswith("_") and not _has_none(field.annotation):
                    yield "--" + field.target.id.replace("_", "-")


def _has_none(annotation: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Call)
        and any(
            word.arg in ("no_cli", "cli_name")
            and not (isinstance(word.value, ast.Constant) and word.value.value is False)
            for word in node.keywords
        )
        for node in ast.walk(annotation)
    )


def main() -> None:
    """Write a file for each wheel."""
    for argument in sys.argv[1:]:
        told = read(Path(argument))
        target = Path(__file__).with_name(f"{told['engine']}.json")
        target.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
