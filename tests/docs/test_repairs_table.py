"""The table of repairs in the docs is the one in the code."""

import re
from pathlib import Path

from conduit.mdl.answer import REPAIRS

PAGE = Path(__file__).parents[2] / "docs" / "mdl.md"


def test_the_docs_list_every_repair_with_its_price() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert {kind: (int(price), what) for kind, price, what in rows} == REPAIRS
