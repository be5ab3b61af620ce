import subprocess
import sys
from importlib import import_module
from types import ModuleType

import conduit.blocks


def test_every_public_name_is_there_and_no_module_takes_its_place():
    homes = set(conduit.blocks._HOMES)
    for home in homes:
        import_module(f"conduit.blocks.{home}")
    assert not homes & set(conduit.blocks.__all__)
    for name in conduit.blocks.__all__:
        assert not isinstance(getattr(conduit.blocks, name), ModuleType)
        assert name in dir(conduit.blocks)


def test_a_block_loads_nothing_that_it_does_not_need():
    code = "import sys; from conduit.blocks import write_file, http_get; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=50)
    assert not set(run.stdout.split()) & {
        "prefect",
        "duckdb",
        "psycopg",
        "selectolax",
        "sqlite3",
        "sqlalchemy",
    }
