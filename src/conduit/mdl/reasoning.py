"""Reasoning before the answer, for models that have no channel of their own for it.

A record is asked for with one more field before its own. Any other type, and a record that has a field of that
name itself, is asked for as a record of two fields, ``reasoning`` and ``answer``. Here are only the directions:
what to ask for, and what an answer holds, whole or begun.
"""

from __future__ import annotations

from typing import Any

from conduit.mdl.form import Document, Member, Record, Scalar

FIELD = "reasoning"
ANSWER = "answer"

_MEMBER = Member(FIELD, Scalar("str"), doc="how you come to the answer")


def with_reasoning(document: Document) -> Document:
    """The document to ask for, so that the model reasons first and then answers with a value of ``document``."""
    if isinstance(document.root, Record) and not _wraps(document):
        members = (_MEMBER, *document.root.members)
        return Document(Record(document.root.name, members), document.definitions)
    return Document(Record("Reasoned", (_MEMBER, Member(ANSWER, document.root))), document.definitions)


def shown(document: Document) -> tuple[Document, tuple[str, ...]]:
    """What to look for in an answer that is still being written, and the path below which the value stands.

    Reasoning is no field of it, and so is read over.
    """
    if not _wraps(document):
        return document, ()
    return Document(Record("Reasoned", (Member(ANSWER, document.root),)), document.definitions), (ANSWER,)


def unwrap(value: Any, document: Document) -> tuple[str, Any]:
    """The reasoning, and the JSON value of ``document``, from an answer to ``with_reasoning(document)``.

    An answer that left the reasoning out is taken as the value itself.
    """
    if not isinstance(value, dict) or not isinstance(value.get(FIELD), str):
        return "", value
    if not _wraps(document):
        return value[FIELD], {name: part for name, part in value.items() if name != FIELD}
    if value.keys() == {FIELD, ANSWER}:
        return value[FIELD], value[ANSWER]
    return "", value


def _wraps(document: Document) -> bool:
    root = document.root
    return not isinstance(root, Record) or any(member.name == FIELD for member in root.members)
