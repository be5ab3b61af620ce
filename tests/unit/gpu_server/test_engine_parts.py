"""Stop strings, and the models that tests are made with."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import random_weights
from gpu_server.engines.stop_text import StopText


@given(st.text("abx", max_size=40), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.data())
def test_text_is_cut_at_the_first_stop_however_it_is_split(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stopper = StopText(stops)
    shown = "".join(stopper.feed(piece) for piece in pieces) + stopper.rest()
    found = [at for at in map(text.find, stops) if at >= 0]
    # A longer stop that begins earlier may complete later, so a split text may show less of it, never more.
    assert text.startswith(shown)
    assert len(shown) <= min(found, default=len(text))
    assert stopper.hit == bool(found)
    if not found:
        assert shown == text


def test_what_may_become_a_stop_is_held_back() -> None:
    stopper = StopText(["</end>"])
    assert stopper.feed("a</e") == "a"
    assert stopper.feed("x") == "</ex"
    assert stopper.feed("b</end>c") == "b"
    assert stopper.feed("more") == ""


def test_equal_seeds_make_equal_models(tmp_path: Path) -> None:
    first, second = (random_weights.make(tmp_path / name, vocab=512, hidden=64) for name in "ab")
    third = random_weights.make(tmp_path / "c", vocab=512, hidden=64, seed=1)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (first, second, third)]
    assert weights[0] == weights[1] != weights[2]
    assert (first / "tokenizer.json").read_bytes() == (second / "tokenizer.json").read_bytes()
