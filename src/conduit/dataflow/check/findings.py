"""What a check finds: value types, and the codes with what each means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    WARNING = "warning"


CODES: dict[str, tuple[Severity, str]] = {
    "check.import": (Severity.ERROR, "the file cannot be imported"),
    "check.runs_at_import": (Severity.WARNING, "importing the file runs a flow, asks a model or connects"),
    "check.edge_type": (Severity.ERROR, "nothing of the producer's type passes as the consumer's argument"),
    "check.edge_partly": (Severity.WARNING, "only some values of the producer's type pass"),
    "check.item_failure": (Severity.ERROR, "failures that a map collected go on as if they were values"),
    "check.arguments": (Severity.ERROR, "an argument is missing, unknown or one too many"),
    "check.attribute": (Severity.ERROR, "the value has no such attribute"),
    "check.key": (Severity.ERROR, "the typed dict has no such key"),
    "check.unpack": (Severity.ERROR, "a tuple is taken apart into another number of names"),
    "check.not_iterable": (Severity.ERROR, "the value is not several values"),
    "check.result_type": (Severity.ERROR, "a block returns what its own annotation refuses"),
    "check.never_runs": (Severity.ERROR, "a call that is neither awaited nor iterated does nothing"),
    "check.block": (Severity.ERROR, "the block's signature or an option cannot be used"),
    "check.unannotated": (Severity.WARNING, "a block's parameter or result has no annotation"),
    "check.mdl_type": (Severity.ERROR, "a model cannot be told, or held to, the type"),
    "check.mdl_ambiguous": (Severity.WARNING, "an answer may read as more than one member of a union"),
    "check.mdl_not_enforced": (Severity.WARNING, "the engine's grammar does not enforce a constraint"),
    "check.model": (Severity.ERROR, "there is no such model"),
    "check.model_unknown": (Severity.WARNING, "the model is neither a folder nor in the shipped catalog"),
    "check.model_id": (Severity.ERROR, "the LMLite that is asked has no model of that id"),
    "check.resources": (Severity.ERROR, "nothing on sale, or not this machine, holds the models"),
    "check.prompt": (Severity.ERROR, "the prompt leaves no room for an answer in max_model_len"),
    "check.not_cacheable": (Severity.ERROR, "a value that is to be kept has no form in JSON"),
    "check.many_tasks": (Severity.WARNING, "a block is called once for each item of a list: a task each"),
    "check.failures_unseen": (Severity.WARNING, "collected failures are thrown away"),
    "check.blocking_sleep": (Severity.WARNING, "time.sleep in a coroutine holds up everything else in it"),
}
"""Every code, how much it weighs, and what it means."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something in a file that will go wrong, or may.

    Attributes:
        file: As it was named.
        line: From 1.
        column: From 1, in characters.
        end_line: The last line of what is at fault.
        code: See ``CODES``.
        severity: Its weight.
        message: What is wrong, with both types where there are two.
        hint: What to do.
    """

    file: str
    line: int
    column: int
    end_line: int
    code: str
    severity: Severity
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Report:
    """What a check of some files found.

    Attributes:
        files: How many were looked at.
        flows: How many flows they have.
        findings: Sorted by place.
    """

    files: int
    flows: int
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings of that weight."""
        return sum(finding.severity is severity for finding in self.findings)
