import subprocess
import sys

CODE = """
import resource, sys
from conduit.blocks import write_file
from conduit.errors import FileError
# The kernel refuses every byte beyond this, as a full disk does.
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    write_file(sys.argv[1], b"n" * 5_000_000)
except FileError as error:
    print(error.code, "5000000 bytes" in error.message)
"""


def test_a_write_that_the_disk_refuses_half_way_leaves_nothing_half_written(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    for name in ("a.bin", "fresh.bin"):
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(tmp_path / name)],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("file True\n", "")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
