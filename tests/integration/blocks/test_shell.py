import os
import signal
import sys
import threading
import time

import psutil
import pytest

from conduit.blocks import ShellText, run_command
from conduit.errors import (
    BlockInputError,
    CommandError,
    CommandFailed,
    CommandOutputTooLarge,
    CommandTimeout,
)


def gone(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def wait_for(path):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def test_arguments_reach_the_program_as_they_are():
    nasty = "$(touch x); `id` | * 'q' \"é\""
    code = "import sys; print(sys.argv[1]); print('oops', file=sys.stderr)"
    result = run_command([sys.executable, "-c", code, nasty])
    assert (result.exit_code, result.stdout, result.stderr) == (0, nasty + "\n", "oops\n")
    assert result.command == (sys.executable, "-c", code, nasty)


def test_a_plain_string_is_never_taken_for_a_command():
    with pytest.raises(BlockInputError):
        run_command("echo hi")


def test_shell_text_has_the_shells_powers_and_takes_values_by_environment():
    nasty = "a b; echo $HOME"
    result = run_command(ShellText('printf %s "$WORD" | wc -c'), env={"WORD": nasty})
    assert int(result.stdout) == len(nasty)


def test_shell_text_with_a_syntax_error_runs_nothing(tmp_path):
    with pytest.raises(CommandError, match="cannot read") as caught:
        run_command(ShellText("touch made; if true; then echo 'x"), folder=tmp_path)
    assert not isinstance(caught.value, CommandFailed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "  \n", "a\0b"])
def test_empty_shell_text_is_refused(text):
    with pytest.raises(CommandError):
        ShellText(text)


def test_large_input_and_output_pass_without_a_deadlock():
    data = os.urandom(500_000).hex()
    assert run_command(["cat"], stdin=data).stdout == data
    assert run_command(["true"], stdin=data).exit_code == 0


def test_a_failure_carries_exit_code_and_the_end_of_stderr():
    with pytest.raises(CommandFailed, match=r"exit code 3.*bad luck") as caught:
        run_command(ShellText("echo before >&2; echo bad luck >&2; exit 3"))
    assert (caught.value.exit_code, caught.value.stderr_tail) == (3, "before\nbad luck")
    assert run_command(ShellText("exit 3"), check=False).exit_code == 3


def test_death_by_a_signal_is_named():
    with pytest.raises(CommandFailed, match="SIGKILL") as caught:
        run_command(ShellText("kill -9 $$"))
    assert caught.value.exit_code == -signal.SIGKILL


def test_the_time_limit_ends_the_whole_group_even_where_it_ignores_sigterm(tmp_path):
    text = 'trap "" TERM; sleep 300 & echo $! > child; echo $$ > self; wait; sleep 300'
    with pytest.raises(CommandTimeout) as caught:
        run_command(ShellText(text), folder=tmp_path, timeout_s=0.5)
    assert caught.value.timeout_s == 0.5
    assert gone(int(wait_for(tmp_path / "child")))
    assert gone(int(wait_for(tmp_path / "self")))


def test_a_background_child_neither_holds_the_call_nor_outlives_it(tmp_path):
    started = time.monotonic()
    result = run_command(ShellText("sleep 300 & echo $! > child; echo done"), folder=tmp_path)
    assert result.stdout == "done\n"
    assert time.monotonic() - started < 30
    assert gone(int(wait_for(tmp_path / "child")))


def test_endless_output_ends_at_the_limit():
    with pytest.raises(CommandOutputTooLarge, match="100000 bytes") as caught:
        run_command(["yes"], max_output_bytes=100_000)
    assert caught.value.limit_bytes == 100_000
    assert len(run_command(["printf", "%s", "x" * 1000], max_output_bytes=1000).stdout) == 1000
    with pytest.raises(CommandOutputTooLarge):
        run_command(["printf", "%s", "x" * 1001], max_output_bytes=1000)


def test_a_command_that_cannot_start_says_why(tmp_path):
    (tmp_path / "plain").write_text("x")
    for command in (["no-such-program-here"], [str(tmp_path / "plain")], [], [""], ["a\0b"]):
        with pytest.raises(CommandError):
            run_command(command)
    with pytest.raises(CommandError) as caught:
        run_command(["true"], folder=tmp_path / "missing")
    assert "no folder" in caught.value.hint


def test_cancellation_ends_the_command(tmp_path):
    def interrupt():
        wait_for(tmp_path / "self")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_command(ShellText("echo $$ > self; sleep 300"), folder=tmp_path)
    thread.join(10)
    assert gone(int(wait_for(tmp_path / "self")))


def test_output_that_is_no_text_is_kept_readable():
    assert run_command(["printf", r"a\377b"]).stdout == "a\ufffdb"
