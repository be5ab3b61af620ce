from conduit.sim.runpod.pods.log import Log


def test_lines_are_taken_up_once_whole_and_at_times_that_differ(tmp_path):
    file = tmp_path / "log"
    log = Log(file)
    assert log.lines() == []
    log.note("create container")
    file.write_bytes(b"one\ntwo\nhal")
    assert [line.text for line in log.lines()] == ["create container", "one", "two"]
    with file.open("ab") as output:
        output.write(b"f\n\xff\n")
    lines = log.lines()
    assert [line.text for line in lines] == ["create container", "one", "two", "half", "\ufffd"]
    assert [line.source for line in lines] == ["system", *["container"] * 4]
    times = [line.at for line in lines]
    assert times == sorted(set(times))
