"""What is told of blocks, models and LMLites as they are defined, each in a file of a few lines."""

from __future__ import annotations

import textwrap

import pytest

from support.checked_files import findings

HEAD = """
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol
import pydantic
from conduit import GPUS, ComputeProvider, LMLite, ModelConfig, block
lm = LMLite("conduit/tiny")
"""

CASES = {
    "a protocol that cannot be asked": (
        """
        class Named(Protocol):
            name: str
        @block
        def named(of: Named) -> str:
            return of.name
        """,
        ["check.block"],
    ),
    "a name that there is not": ("@block\ndef f(x: 'Nothing') -> int:\n    return 1", ["check.block"]),
    "no annotations": ("@block\ndef f(x, *more):\n    return x", ["check.unannotated"] * 3),
    "self needs none": ("class A:\n    @block\n    def f(self, x: int) -> int:\n        return x", []),
    "an ambiguous union": (
        """
        @dataclass
        class A:
            x: str
        @dataclass
        class B:
            x: str
        @lm.block
        def f(text: str) -> A | B:
            '''Read.'''
        """,
        ["check.mdl_ambiguous"],
    ),
    "a constraint that no grammar holds": (
        r"""
        @lm.block
        def f(text: str) -> Annotated[str, pydantic.Field(pattern=r"\bfoo\b")]:
            '''Read.'''
        """,
        ["check.mdl_not_enforced"],
    ),
    "a set": ("@lm.block\ndef f(text: str) -> set[str]:\n    '''Read.'''", []),
    "an input without a shape": ("@lm.block\ndef f(x: object) -> str:\n    '''Read.'''", ["check.mdl_type"]),
    "the output of a call": (
        "def late() -> Any:\n    return lm(input='a', output=object)",
        ["check.mdl_type"],
    ),
    "a model that a call does not have": (
        "def late() -> str:\n    return lm(model_id='other', messages=[])",
        ["check.model_id"],
    ),
    "an option while a flow is written": (
        "@block\ndef f(x: int) -> int:\n    return x\ndef late() -> Any:\n    return f.with_options(retries=-1)(1)",
        ["check.block"],
    ),
    "too dear": (
        "big = LMLite('Qwen/Qwen3-8B', ComputeProvider.RUNPOD, max_usd_per_hour=0.01)",
        ["check.resources"],
    ),
    "more than the machine has": (
        "big = LMLite(ModelConfig('conduit/tiny', max_model_concurrency=4_000_000), replicas=1_000)",
        ["check.resources"],
    ),
    "what fits": ("big = LMLite('Qwen/Qwen3-8B', ComputeProvider.RUNPOD)", []),
    "a server that runs already": (
        "mine = LMLite(ModelConfig('m', engine='openai', url='http://127.0.0.1:1/v1'))",
        [],
    ),
    "a cache of plain records": (
        "@dataclass\nclass R:\n    a: set[int]\n@block(cache=True)\ndef f(x: R) -> list[R]:\n    return [x]",
        [],
    ),
    "a cache of functions": (
        """
        import collections.abc
        @block(cache=True)
        def f(x: collections.abc.Callable[[], int]) -> int:
            return x()
        """,
        ["check.not_cacheable"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_definition(name, tmp_path):
    text, codes = CASES[name]
    path = tmp_path / "defined.py"
    path.write_text(HEAD + textwrap.dedent(text) + "\n")
    assert [found.code for found in findings(path)] == codes
