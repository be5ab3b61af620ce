from pydantic import SecretStr

from conduit.lmlite.replicas.pool import Pool, Replica


def replicas(*names):
    return [Replica(name, f"http://{name}", SecretStr("t-" + name)) for name in names]


def picks(pool, count, **options):
    return "".join(replica.node_id if (replica := pool.pick(**options)) else "-" for _ in range(count))


def test_replicas_take_turns():
    assert picks(Pool(replicas("a", "b", "c")), 7) == "abcabca"


def test_one_set_aside_gets_nothing_until_it_is_put_back():
    a, _ = both = replicas("a", "b")
    pool = Pool(both)
    pool.set_aside(a, 1.0)
    assert picks(pool, 3) == "bbb"
    pool.put_back(a)
    assert sorted(picks(pool, 2)) == ["a", "b"]


def test_with_all_set_aside_there_is_none():
    pool = Pool(replicas("a"))
    pool.set_aside(pool.replicas[0], 1.0)
    assert pool.pick() is None


def test_those_excluded_are_passed_over():
    assert picks(Pool(replicas("a", "b")), 3, without={"a"}) == "bbb"


def test_those_set_aside_long_enough_are_told():
    a, b = both = replicas("a", "b")
    pool = Pool(both)
    pool.set_aside(a, 1.0)
    pool.set_aside(b, 5.0)
    assert pool.aside(before=3.0) == [a]
    assert pool.aside() == [a, b]


def test_a_token_never_shows():
    assert "t-a" not in repr(replicas("a"))
