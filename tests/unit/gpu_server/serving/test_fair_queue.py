"""The laws of the queue that gives callers their turns."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_server.serving.fair_queue import FairQueue


def test_one_caller_with_many_does_not_hold_up_one_with_one() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(500):
        queue.append("many", f"many-{number}")
    queue.append("one", "one-0")
    assert [queue.pop() for _ in range(3)] == ["many-0", "one-0", "many-1"]
    assert len(queue) == 498


def test_what_is_put_back_is_next() -> None:
    queue: FairQueue[str] = FairQueue()
    for caller in "ab":
        queue.append(caller, f"{caller}-0")
    queue.append("a", "a-1")
    first = queue.pop()
    queue.put_back("a", first)
    assert queue.first() == first == "a-0"
    assert [queue.pop() for _ in range(3)] == ["a-0", "b-0", "a-1"]


def test_an_empty_queue_says_so() -> None:
    queue: FairQueue[str] = FairQueue()
    assert not queue.remove("a", "a-0")
    with pytest.raises(IndexError):
        queue.pop()
    with pytest.raises(IndexError):
        queue.first()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from("abc")),
        st.tuples(st.just("pop"), st.just("")),
        st.tuples(st.just("remove"), st.integers(0, 30)),
    ),
    max_size=60,
)


@given(STEPS)
def test_callers_take_turns_and_each_is_served_in_order(steps: list[tuple[str, object]]) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    waiting: dict[str, list[int]] = defaultdict(list)
    passed_over: dict[str, set[str]] = defaultdict(set)  # whom each caller has seen served since its own turn
    for number, (step, argument) in enumerate(steps):
        everyone = [(caller, item) for caller, items in waiting.items() for item in items]
        if step == "append":
            caller = str(argument)
            if not waiting[caller]:
                passed_over[caller] = set()
            waiting[caller].append(number)
            queue.append(caller, (caller, number))
        elif step == "remove" and everyone:
            caller, item = everyone[int(str(argument)) % len(everyone)]
            assert queue.remove(caller, (caller, item))
            waiting[caller].remove(item)
        elif step == "pop" and everyone:
            caller, item = queue.pop()
            assert waiting[caller].pop(0) == item
            for other, items in waiting.items():
                if other != caller and items:
                    assert caller not in passed_over[other], f"{caller} came twice while {other} waited"
                    passed_over[other].add(caller)
            passed_over[caller] = set()
        assert len(queue) == sum(map(len, waiting.values()))
    assert sorted(queue.clear()) == sorted((c, i) for c, items in waiting.items() for i in items)
    assert len(queue) == 0
