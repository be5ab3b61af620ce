"""The error tree is the one drawn, and every error survives the way to another process."""

import pickle
from collections.abc import Iterator

import pytest

from conduit import errors
from conduit.errors import ConduitError


def drawn() -> dict[str, str]:
    """Class → base, read from the picture in the module's docstring."""
    bases: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        if not isinstance(getattr(errors, name, None), type):
            continue
        depth = len(line) - len(line.lstrip(" │├└─"))
        above = [(d, n) for d, n in above if d < depth]
        if above:
            bases[name] = above[-1][1]
        above.append((depth, name))
    return bases


def all_classes(base: type[ConduitError] = ConduitError) -> Iterator[type[ConduitError]]:
    yield base
    for child in base.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from all_classes(child)


CLASSES = sorted(set(all_classes()), key=lambda kind: kind.__name__)


def test_the_picture_shows_every_class_under_its_base() -> None:
    assert drawn() == {
        kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES if kind is not ConduitError
    }


def test_codes_are_unique() -> None:
    assert len({kind.code for kind in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_after_pickling(kind: type[ConduitError]) -> None:
    names = [n for base in kind.__mro__ for n in vars(base).get("__annotations__", {}) if n != "code"]
    given = {name: f"<{name}>" for name in names if issubclass(kind, ConduitError)}
    error = kind("It happened 3 times.", hint="Do this.", **given)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == "It happened 3 times.\nHint: Do this."
    assert again.as_dict() == {"code": kind.code, "message": "It happened 3 times.", "hint": "Do this."}
    assert {name: getattr(again, name) for name in given} == given


def test_an_attribute_that_a_class_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="no attribute 'colour'"):
        ConduitError("x", colour=1)
