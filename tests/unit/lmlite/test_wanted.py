import gc

from conduit import settings
from conduit.lmlite import LMLiteResource
from conduit.lmlite.nodes import wanted
from conduit.lmlite.nodes.deployment import deployment_key


def keys():
    return wanted.keys(settings.load(), "owner")


def key(lm):
    return deployment_key(lm.config, lm.settings, "owner")


def test_a_live_object_wants_its_deployment():
    lm = LMLiteResource("a/b")
    assert keys() == {key(lm)}


def test_a_dropped_object_wants_nothing():
    LMLiteResource("a/b")
    assert keys() == set()


def test_an_object_in_a_dropped_cycle_wants_nothing():
    gc.disable()
    try:
        lm = LMLiteResource("a/b")
        lm.itself = lm
        del lm
        assert keys() == set()
    finally:
        gc.enable()


def test_an_object_replaced_by_one_of_its_name_wants_nothing():
    old = LMLiteResource("a/b", name="triage")
    new = LMLiteResource("a/b", name="triage", replicas=2)
    other = LMLiteResource("a/b", name="other", replicas=3)
    assert keys() == {key(new), key(other)}
    assert old is not None


def test_objects_without_a_name_replace_nobody():
    both = [LMLiteResource("a/b"), LMLiteResource("a/b", replicas=2)]
    assert keys() == {key(lm) for lm in both}
    wanted.forgo(both[0])
    assert keys() == {key(both[1])}


def test_an_object_whose_model_is_not_there_wants_nothing():
    lm = LMLiteResource("/no/such/folder")
    assert keys() == set()
    assert lm is not None


def test_objects_of_another_data_folder_do_not_count(monkeypatch, tmp_path):
    lm = LMLiteResource("a/b")
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(tmp_path))
    assert keys() == set()
    assert lm is not None


def test_another_image_of_the_server_is_another_deployment(monkeypatch):
    def key_with(image):
        monkeypatch.setenv("CONDUIT_RUNPOD_IMAGE", image)
        return key(LMLiteResource("a/b", "runpod"))

    assert key_with("server:1") == key_with("server:1") != key_with("server:2")
