"""A file's name, as a path, goes where its text belongs."""

from pathlib import Path

from desk import split
from prefect import flow


@flow
def inbox(file: Path) -> list[str]:
    return split(file)  # FAULT check.edge_type
