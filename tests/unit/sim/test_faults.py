import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import ArgumentInvalid
from conduit.sim.runpod.faults import AFTER, ANSWERS, LIVES, Fault, Faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("create=hang:1", Fault(at="create", kind="hang", times=1)),
        ("list=slow,seconds=2.5", Fault(at="list", kind="slow", seconds=2.5)),
        (
            "pod=dies:3,seconds=5,gpu=NVIDIA L4",
            Fault(at="pod", kind="dies", times=3, seconds=5, gpu="NVIDIA L4"),
        ),
        ("create=429:2, retry_after=7", Fault(at="create", kind="429", times=2, retry_after=7)),
        ("*=500:1", Fault(at="*", kind="500", times=1)),
    ],
)
def test_a_fault_is_read_as_it_is_written(text, fault):
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("create", "no fault ''"),
        ("create=explode", "no fault 'explode'"),
        ("moon=500", "no place 'moon'"),
        ("pod=500", "no fault '500' at pod"),
        ("create=dies", "no fault 'dies' at create"),
        ("proxy=hang", "no fault 'hang' at proxy"),
        ("create=500:0", "greater than or equal to 1"),
        ("create=500:often", "invalid literal"),
        ("create=500,colour=red", "not permitted"),
        ("pod=invisible,where=nowhere", "'list', 'get' or 'both'"),
        ("", "no place ''"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_there_is(text, said):
    with pytest.raises(ArgumentInvalid, match="is no fault") as caught:
        Fault.parse(text)
    assert said in caught.value.message
    assert "create=hang:1" in caught.value.hint


def test_faults_are_used_up_oldest_first_and_those_without_a_number_stay():
    faults = Faults([Fault.parse("create=500:2"), Fault.parse("create=402")])
    assert [faults.take("create").kind for _ in range(4)] == ["500", "500", "402", "402"]
    assert faults.take("list") is None
    faults.clear()
    assert faults.take("create") is None


def test_a_fault_waits_for_the_gpu_and_the_name_that_it_is_about():
    faults = Faults([Fault.parse("create=no-capacity:1,gpu=NVIDIA L4,name=cdt-")])
    assert faults.take("create", gpu="NVIDIA A40", name="cdt-1") is None
    assert faults.take("create", gpu="NVIDIA L4", name="other") is None
    assert faults.take("create", gpu="NVIDIA L4", name=None) is None
    assert faults.take("create", gpu="NVIDIA L4", name="cdt-1") is not None
    assert faults.waiting() == []


@pytest.mark.parametrize("at", ["pod", "proxy"])
def test_a_fault_of_every_operation_spares_what_is_none(at):
    faults = Faults([Fault.parse("*=500")])
    assert faults.take(at) is None
    assert faults.take("get") is not None


@given(
    st.sampled_from([("create", kind) for kind in (*ANSWERS, *AFTER)] + [("pod", kind) for kind in LIVES]),
    st.integers(1, 99),
    st.integers(0, 1000),
)
def test_every_fault_has_a_written_form(place, times, seconds):
    at, kind = place
    written = f"{at}={kind}:{times},seconds={seconds}"
    assert Fault.parse(written) == Fault(at=at, kind=kind, times=times, seconds=seconds)
