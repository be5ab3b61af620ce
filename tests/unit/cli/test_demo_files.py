"""What the demo ships is what the repository shows."""

import json
from pathlib import Path

from conduit import cli
from conduit.cli.page import demo_page, messages_of

ROOT = Path(__file__).parents[3]


def test_the_shipped_flow_is_the_one_in_flows():
    shipped = Path(cli.__file__).with_name("inbox.py")
    assert shipped.read_bytes() == (ROOT / "flows" / "inbox.py").read_bytes()


def test_the_page_holds_the_hand_written_messages_in_their_order():
    lines = (
        (ROOT / "models" / "tiny" / "frozen" / "handwritten.jsonl").read_text(encoding="utf-8").splitlines()
    )
    assert messages_of(demo_page()) == [json.loads(line)["message"] for line in lines]
