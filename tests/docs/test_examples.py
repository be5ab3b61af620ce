"""Every Python block in the documentation runs, and prints what it says it prints."""

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples


@pytest.mark.parametrize("example", list(find_examples("README.md", "docs")), ids=str)
def test_the_example_runs_as_printed(example: CodeExample, eval_example: EvalExample) -> None:
    eval_example.set_config(line_length=110)
    eval_example.run_print_check(example)
