"""Every Python block in the documentation runs, and prints what it says it prints.

A block with a title is a file of the tutorial, which is run there (``test_tutorial.py``).
"""

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

EXAMPLES = [
    example
    for example in find_examples("README.md", "docs")
    if not (example.path.name == "tutorial.md" and "title" in example.prefix_settings())
]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_example_runs_as_printed(example: CodeExample, eval_example: EvalExample) -> None:
    eval_example.set_config(line_length=110)
    eval_example.run_print_check(example)
