"""Answers as models write them are read as a careful reader would, or refused."""

import pytest
from pydantic import TypeAdapter

from conduit import mdl
from conduit.errors import OutputInvalid, OutputRefused, OutputTruncated
from support.defects import CASES, Case

NO_VALUE = (OutputInvalid, OutputRefused, OutputTruncated)
_ALL = [pytest.param(case, id=f"{kind}: {case.name}") for kind, cases in CASES.items() for case in cases]
_READABLE = [param for param in _ALL if not param.values[0].refused]
_REFUSED = [param for param in _ALL if param.values[0].refused]


def _is_clean(case: Case) -> bool:
    try:
        return TypeAdapter(case.type).validate_json(case.raw, strict=True) == case.expected
    except ValueError:
        return False


@pytest.mark.parametrize("case", _READABLE)
def test_a_defective_answer_is_read_as_it_was_meant(case: Case) -> None:
    assert mdl.parse(case.raw, case.type).value == case.expected


@pytest.mark.parametrize("case", _REFUSED)
def test_an_answer_that_a_careful_reader_would_return_is_refused(case: Case) -> None:
    with pytest.raises(NO_VALUE) as refusal:
        mdl.parse(case.raw, case.type)
    assert refusal.value.raw == case.raw


@pytest.mark.parametrize("case", _ALL)
def test_a_strict_reading_says_the_same_or_nothing(case: Case) -> None:
    try:
        value = mdl.parse(case.raw, case.type, strict=True).value
    except NO_VALUE:
        return
    assert value == case.expected


@pytest.mark.parametrize("case", _READABLE)
def test_every_step_beyond_json_is_on_the_bill(case: Case) -> None:
    assert bool(mdl.parse(case.raw, case.type).repairs) != _is_clean(case)


def test_the_corpus_is_as_broad_as_it_says() -> None:
    cases = [case for group in CASES.values() for case in group]
    assert len(cases) >= 300
    assert len({case.name for case in cases}) == len(cases)
    assert len({case.raw for case in cases if not case.refused}) > 300
