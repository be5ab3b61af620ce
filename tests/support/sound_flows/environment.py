"""What stands at the top of a file: values of the environment, optional imports, types for checkers only."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow

from conduit import LMLite, ModelConfig, block
from conduit.blocks import http_get, read_file

if TYPE_CHECKING:
    from collections.abc import Sequence

try:
    import orjson
except ImportError:
    orjson = None

URL = os.environ.get("INBOX_URL")
FOLDER = Path(os.environ.get("INBOX_FOLDER", "."))
TOPICS = ["billing", "bug"]
LIMIT: int = json.loads(os.environ.get("INBOX_LIMIT", "3"))
lm = LMLite(ModelConfig(os.environ.get("INBOX_MODEL", "conduit/tiny")))
if sys.platform == "win32":
    ENCODING = "cp1252"
else:
    ENCODING = "utf-8"


@lm.block
def triage(message: str, topics: list[str]) -> list[str]:
    """Which of the topics is the message about?"""


@block
def loaded(text: str) -> Any:
    return json.loads(text)


@block
def first(rows: list[dict[str, str]], limit: int) -> str:
    return rows[limit]["text"]


@flow
def inbox(url: str = "") -> list[str]:
    page = http_get(url or URL)
    rows = loaded(page.text)
    text = first(rows, LIMIT)
    with (FOLDER / "rules.txt").open() as file:
        rules = file.read()
    try:
        more = read_file(FOLDER / "more.txt", encoding=ENCODING).text
    except OSError as error:
        more = str(error)
    triage(rows["a"]["b"], TOPICS)
    triage(rules, [*TOPICS, more])
    data: dict[str, Any] = json.loads(text)
    return triage(data["text"], data.get("topics", TOPICS))


def main(arguments: Sequence[str]) -> None:
    for line in inbox(*arguments):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
