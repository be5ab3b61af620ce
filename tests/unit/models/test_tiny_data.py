"""The tiny model's data: the test sets are the frozen ones, and nothing of them was trained on."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from conduit import mdl
from conduit.cli import inbox
from tiny import data, shapes

FROZEN = Path(data.__file__).parent / "frozen"
SHIPPED = Path(mdl.__file__).parents[1] / "lmlite/tiny"


def frozen(name: str) -> str:
    return (FROZEN / f"{name}.jsonl").read_text()


@pytest.mark.parametrize("name", ["handwritten", "unseen"])
def test_a_test_set_is_the_frozen_one(name: str) -> None:
    digest = hashlib.sha256(frozen(name).encode()).hexdigest()
    assert f"{digest}  {name}.jsonl" in (FROZEN / "SHA256SUMS").read_text().splitlines()


def test_the_unseen_set_comes_from_templates_that_are_never_trained_on() -> None:
    rows = [json.dumps(row, ensure_ascii=False) for row in data.unseen()]
    assert "\n".join(rows) + "\n" == frozen("unseen")
    kept_out = {template.text for template in data.templates() if template.unseen}
    assert kept_out.isdisjoint(template.text for template in data.seen())
    assert len(kept_out) * 3 == len(rows)


def test_no_hand_written_message_is_among_the_templates() -> None:
    known = {" ".join(template.text.lower().split()) for template in data.templates()}
    messages = [json.loads(line)["message"] for line in frozen("handwritten").splitlines()]
    assert len(messages) >= 60
    assert known.isdisjoint(" ".join(message.lower().split()) for message in messages)


def test_the_demo_asks_with_the_prompt_that_was_trained() -> None:
    asked = mdl.prompt(inbox.read_ticket.__wrapped__)
    assert asked.system == data.ticket_prompt().system
    assert asked.schema == data.ticket_prompt().schema


def test_every_training_example_is_a_right_answer_to_its_prompt() -> None:
    rng = random.Random(5)
    for kind in (*rng.sample(shapes.shapes(), 40), *[None] * 40):
        item = data.ticket_example(rng) if kind is None else kind.example(rng)
        item.prompt.parse(item.answer)


def test_judged_spans_are_the_label_and_the_yes_or_no() -> None:
    answer = '{"order_id":"A-100","amount":null,"topic":"return","urgent":true}'
    assert [answer[start:end] for start, end in data.judged(answer)] == ['"return"', "true"]
    assert [answer[start:end] for start, end in data.judged(answer, {"topic": "topic"})] == ['"return"']
    assert data.judged(answer, {}) == ()


def test_the_shipped_model_is_small_and_complete() -> None:
    files = {path.name: path.stat().st_size for path in SHIPPED.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= files.keys()
    assert sum(files.values()) <= 8 * 2**20


def test_digits_and_capitals_are_tokens_of_their_own() -> None:
    tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    assert tokenizer.encode("ORD-20395").tokens == [*"ORD-20395"]
    text = 'Grüße, "Ω" \\ {"a":[1,2]}'
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
