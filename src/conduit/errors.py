"""Every error that Conduit raises, in one tree.

No exception of another library crosses a Conduit border: it is raised again as one of these, ``from`` its
cause. Each class has a stable ``code`` for machines and typed attributes for programs; the message says what
happened with the numbers, the hint says what to do next.

    ConduitError
    ├── BlockError                       a block and its values
    │   ├── BlockDefinitionError         the function cannot be a block
    │   ├── BlockInputError              an argument does not fit the signature
    │   ├── BlockOutputError             the returned value does not fit the signature
    │   ├── BlockTimeout                 the block's own time limit passed
    │   ├── MapFailed                    items of a map failed
    │   ├── RecordedFailure              an item failed in an earlier run of a map
    │   ├── NotCacheable                 a call's values cannot be kept
    │   ├── FlowNotChecked               a file could not be looked at
    │   └── FlowServerUnreachable        a flow runs without a Prefect server
    ├── MDLError                         types, prompts and answers
    │   ├── UnsupportedType              MDL cannot express the type
    │   ├── TextInvalid                  a text is no MDL
    │   ├── ExampleInvalid               a prompt's example does not fit its types
    │   ├── SchemaUnsupported            no grammar can be made from the JSON Schema
    │   └── AnswerError                  a model's answer is not a value
    │       ├── OutputInvalid            it does not fit the type
    │       ├── OutputRefused            the model declined to answer
    │       └── OutputTruncated          the token limit cut it
    ├── ModelError                       models and the servers that run them
    │   ├── ArgumentInvalid              an argument of ModelConfig, LMLite or a call is impossible
    │   ├── ModelNotFound                no such model here
    │   ├── ModelDoesNotFit              not enough memory for it
    │   ├── ModelUnsupported             its memory cannot be reckoned
    │   ├── RequestRefused               the server refused the request
    │   │   ├── PromptTooLong            prompt and answer exceed max_model_len
    │   │   ├── NotAuthorized            no token or a wrong one
    │   │   └── Overloaded               the queue is full
    │   ├── ReplicaLost                  a replica went away in mid-answer
    │   ├── NoReplica                    no replica can take the request
    │   ├── DeploymentFailed             the deployment did not become ready
    │   ├── DeploymentStopped            it was stopped or deleted
    │   └── RequestTimeout               no answer within the deadline
    ├── ComputeError                     machines
    │   ├── ProviderUnavailable          the provider cannot be used here
    │   ├── ProviderError                the provider's own answer to a request
    │   │   ├── ProviderUnauthorized     no key, or a wrong one
    │   │   ├── ProviderRejected         the request is wrong and stays wrong
    │   │   ├── ProviderBusy             asked too often
    │   │   ├── AmbiguousAnswer          it may have done what was asked, or not
    │   │   ├── NoCapacity               the offering is sold out
    │   │   ├── OfferingRefused          the account may not have the offering
    │   │   └── BalanceTooLow            the account's money is used up
    │   ├── NothingFits                  no offering on sale holds the models
    │   ├── BudgetExceeded               it would cost more than it may
    │   └── NodeFailed                   a node did not start or died
    ├── StoreError                       Conduit's own records
    │   ├── StoreUnavailable             the data folder or database cannot be used
    │   ├── CacheUnavailable             the cache of results cannot be used
    │   ├── LedgerUnavailable            how a map's items ended cannot be written or read
    │   ├── LedgerInUse                  another process maps under the ledger
    │   ├── RecordNotFound               there is no such run or ledger
    │   └── IllegalTransition            a record cannot go to that state
    ├── ResourceError                    what ready-made blocks touch
    │   ├── HttpError                    a request failed
    │   │   ├── HttpStatusError          the server answered with an error status
    │   │   ├── HttpTooLarge             the answer is larger than allowed
    │   │   └── HttpTimeout              no complete answer within the time limit
    │   ├── FileError                    a file cannot be read or written
    │   ├── SqlError                     a statement failed
    │   │   └── DatabaseLocked           another process holds the database
    │   ├── TransactionError             a block cannot take part in the transaction around it
    │   │   └── TransactionFailed        it did not become final as a whole
    │   └── CommandError                 a command could not run
    │       ├── CommandFailed            it ended with an error code
    │       ├── CommandTimeout           it ran past its time limit
    │       └── CommandOutputTooLarge    it printed more than allowed
    ├── ApprovalError                    a flow that waits for a person
    │   ├── ApprovalUnavailable          it cannot wait here, or not for this type
    │   └── ApprovalTimeout              nobody answered in time
    ├── CassetteError                    recorded model calls cannot be read or written
    │   └── CassetteMiss                 a call is not among them
    └── MissingDependency                an optional part is not installed
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar


class ConduitError(Exception):
    """Base of the tree.

    Attributes:
        message: What happened, with the numbers.
        hint: What to do next, when there is something to do.
        code: Stable name of the class for machines.
    """

    code: ClassVar[str] = "conduit"

    def __init__(self, message: str, *, hint: str | None = None, **attributes: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        for name, value in attributes.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no attribute {name!r}")
            setattr(self, name, value)
        self._attributes = attributes

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self._attributes)

    @property
    def attributes(self) -> dict[str, Any]:
        """The typed attributes that were given, by name."""
        return dict(self._attributes)

    def as_dict(self) -> dict[str, Any]:
        """The error as plain values, for ``--json`` and records."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


def _rebuild(
    kind: type[ConduitError], message: str, hint: str | None, attributes: dict[str, Any]
) -> ConduitError:
    return kind(message, hint=hint, **attributes)


class BlockError(ConduitError):
    """A block was defined, called or answered wrongly."""

    code = "block"
    block: str | None = None


class BlockDefinitionError(BlockError):
    """The function cannot be a block."""

    code = "block.definition"


class BlockInputError(BlockError):
    """An argument does not fit the block's signature."""

    code = "block.input"
    parameter: str | None = None


class BlockOutputError(BlockError):
    """The value that the block returned does not fit its signature."""

    code = "block.output"


class BlockTimeout(BlockError):
    """The block ran past its own time limit."""

    code = "block.timeout"
    timeout_s: float | None = None


class MapFailed(BlockError):
    """Items of a map failed; ``failures`` maps each index to its error.

    ``failed`` counts them. Of a map whose results stay on disk ``failures`` holds the first thousand.
    """

    code = "block.map_failed"
    failures: Mapping[int, Exception] = MappingProxyType({})
    failed: int = 0
    total: int = 0


class RecordedFailure(BlockError):
    """An item failed in an earlier run, and stands so in the ledger; ``error_code`` is the error's of then."""

    code = "block.recorded_failure"
    error_code: str = ""
    ledger: str | None = None


class NotCacheable(BlockError, ValueError):
    """A call cannot be kept: ``what`` of it cannot be written as JSON and read back equal."""

    code = "block.not_cacheable"
    what: str = ""
    type_name: str | None = None


class FlowNotChecked(BlockError):
    """A file could not be checked: it is not there, or its import hangs or dies."""

    code = "block.not_checked"
    path: str | None = None


class FlowServerUnreachable(BlockError):
    """A flow runs, but its Prefect server does not answer."""

    code = "block.flow_server"
    api_url: str | None = None


class MDLError(ConduitError):
    """A type, a prompt or an answer is at fault."""

    code = "mdl"


class UnsupportedType(MDLError, TypeError):
    """MDL cannot express a type; ``path`` says where it stands."""

    code = "mdl.unsupported_type"
    path: str = ""


class SchemaUnsupported(MDLError):
    """An engine could not decode under a JSON Schema; ``path`` says which part of it is at fault."""

    code = "mdl.unsupported_schema"
    path: str = "$"


class TextInvalid(MDLError, ValueError):
    """A text is no MDL; ``line`` and ``column`` count from 1."""

    code = "mdl.text_invalid"
    line: int = 1
    column: int = 1


class ExampleInvalid(MDLError, ValueError):
    """An example of a prompt does not fit the prompt's types; ``number`` counts from 1."""

    code = "mdl.example_invalid"
    number: int = 1


class AnswerError(MDLError):
    """A model's answer is not a value of the asked type; ``raw`` is its text."""

    code = "mdl.answer"
    raw: str = ""
    attempts: int = 1


class OutputInvalid(AnswerError):
    """The answer does not fit the type; ``errors`` are lines of ``path: problem (expected type)``."""

    code = "mdl.output_invalid"
    errors: tuple[str, ...] = ()


class OutputRefused(AnswerError):
    """The model declined to answer; ``raw`` holds its words."""

    code = "mdl.output_refused"


class OutputTruncated(AnswerError):
    """The token limit cut the answer, so it is no value; ``partial`` is what was readable, as plain JSON data."""

    code = "mdl.output_truncated"
    completion_tokens: int | None = None
    partial: Any = None


class ModelError(ConduitError):
    """A model or a server that runs it is at fault."""

    code = "model"
    model_id: str | None = None


class ArgumentInvalid(ModelError):
    """An argument of ``ModelConfig``, of ``LMLite`` or of a call to it is impossible."""

    code = "model.argument"
    argument: str | None = None


class ModelNotFound(ModelError):
    """There is no such model here."""

    code = "model.not_found"


class ModelDoesNotFit(ModelError):
    """The model needs more memory than there is."""

    code = "model.does_not_fit"
    needed_bytes: int | None = None
    available_bytes: int | None = None


class ModelUnsupported(ModelError):
    """What the model needs cannot be reckoned from its configuration."""

    code = "model.unsupported"


class RequestRefused(ModelError):
    """The server refused the request; trying again as it is would not help."""

    code = "model.refused"
    status: int | None = None


class PromptTooLong(RequestRefused):
    """Prompt and answer together exceed ``max_model_len`` tokens."""

    code = "model.prompt_too_long"


class NotAuthorized(RequestRefused):
    """The server wants a token, or another one."""

    code = "model.not_authorized"


class Overloaded(RequestRefused):
    """The server's queue is full; ``retry_after_s`` says when to come back."""

    code = "model.overloaded"
    retry_after_s: float | None = None


class ReplicaLost(ModelError):
    """A replica went away in mid-answer."""

    code = "model.replica_lost"
    replica: str | None = None


class NoReplica(ModelError):
    """No replica can take the request; ``retry_after_s`` is set when one may soon."""

    code = "model.no_replica"
    retry_after_s: float | None = None


class DeploymentFailed(ModelError):
    """The deployment did not become ready."""

    code = "model.deployment_failed"


class DeploymentStopped(ModelError):
    """The deployment was stopped or deleted."""

    code = "model.deployment_stopped"


class RequestTimeout(ModelError):
    """No answer came within the deadline."""

    code = "model.timeout"
    timeout_s: float | None = None


class ComputeError(ConduitError):
    """A machine or its provider is at fault."""

    code = "compute"


class ProviderUnavailable(ComputeError):
    """The provider cannot be used here."""

    code = "compute.provider_unavailable"


class ProviderError(ComputeError):
    """The provider answered a request with an error, or with nothing."""

    code = "compute.provider"
    provider: str | None = None
    status: int | None = None


class ProviderUnauthorized(ProviderError):
    """The provider takes no key, or not this one."""

    code = "compute.provider.unauthorized"


class ProviderRejected(ProviderError):
    """The request is wrong; asking again does not help."""

    code = "compute.provider.rejected"


class ProviderBusy(ProviderError):
    """The provider was asked too often."""

    code = "compute.provider.busy"
    retry_after_s: float | None = None


class AmbiguousAnswer(ProviderError):
    """No answer, or none that can be read: what was asked for may have happened."""

    code = "compute.provider.ambiguous"


class NoCapacity(ProviderError):
    """The offering is sold out at the moment."""

    code = "compute.provider.no_capacity"


class OfferingRefused(ProviderError):
    """The account may not have this offering."""

    code = "compute.provider.offering_refused"


class BalanceTooLow(ProviderError):
    """The account's money is used up."""

    code = "compute.provider.balance"


class NothingFits(ComputeError):
    """No offering on sale holds the models; the message has the numbers, the hint the smallest change that fits."""

    code = "compute.nothing_fits"
    needed_gib: float | None = None
    largest_gib: float | None = None


class BudgetExceeded(ComputeError):
    """What is asked for could cost more than the budget has left."""

    code = "compute.budget"
    budget_usd: float | None = None
    reserved_usd: float | None = None
    needed_usd: float | None = None


class NodeFailed(ComputeError):
    """A node did not start or died; ``log_tail`` is the end of its log."""

    code = "compute.node_failed"
    node_id: str | None = None
    log_tail: str = ""


class StoreError(ConduitError):
    """Conduit's own records are at fault."""

    code = "store"


class StoreUnavailable(StoreError):
    """The data folder or its database cannot be used."""

    code = "store.unavailable"
    path: str | None = None


class RecordNotFound(StoreError):
    """There is no such run or ledger, or several; ``nearest`` names those that may be meant."""

    code = "store.not_found"
    record_id: str | None = None
    nearest: tuple[str, ...] = ()


class CacheUnavailable(StoreError):
    """The cache of results cannot be used, or a newer Conduit wrote it."""

    code = "store.cache"
    path: str | None = None


class LedgerUnavailable(StoreError):
    """How a map's items ended cannot be written down or read; ``kept`` counts items that are on record."""

    code = "store.ledger"
    ledger: str | None = None
    kept: int | None = None


class LedgerInUse(StoreError):
    """Another process maps under the ledger."""

    code = "store.ledger_in_use"
    ledger: str | None = None


class IllegalTransition(StoreError):
    """A record cannot go from its state to the asked one, or is not there."""

    code = "store.transition"
    record_id: str | None = None
    from_state: str | None = None
    to_state: str | None = None


class ResourceError(ConduitError):
    """Something that a ready-made block touches is at fault."""

    code = "resource"


class HttpError(ResourceError):
    """An HTTP request failed."""

    code = "http"
    url: str | None = None


class HttpStatusError(HttpError):
    """The server answered with an error status; ``body`` is the beginning of what it said."""

    code = "http.status"
    status: int | None = None
    retry_after_s: float | None = None
    body: str = ""


class HttpTooLarge(HttpError):
    """The answer is larger than the block allows."""

    code = "http.too_large"
    limit_bytes: int | None = None


class HttpTimeout(HttpError):
    """No complete answer came within the time limit."""

    code = "http.timeout"
    timeout_s: float | None = None


class FileError(ResourceError):
    """A file cannot be read or written; ``line`` counts from 1 where one line is at fault."""

    code = "file"
    path: str | None = None
    line: int | None = None


class SqlError(ResourceError):
    """A statement failed."""

    code = "sql"
    database: str | None = None
    statement: str | None = None


class DatabaseLocked(SqlError):
    """Another process holds the database; ``holder_pid`` is its process where the database tells."""

    code = "sql.locked"
    holder_pid: int | None = None


class TransactionError(ResourceError):
    """A block cannot take part in the transaction around it."""

    code = "transaction"


class TransactionFailed(TransactionError):
    """A transaction did not become final as a whole; ``committed`` and ``undone`` name its parts."""

    code = "transaction.failed"
    committed: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()


class CommandError(ResourceError):
    """A command could not run."""

    code = "command"
    command: tuple[str, ...] = ()


class CommandFailed(CommandError):
    """The command ended with an error code."""

    code = "command.failed"
    exit_code: int | None = None
    stderr_tail: str = ""


class CommandTimeout(CommandError):
    """The command ran past its time limit and was ended."""

    code = "command.timeout"
    timeout_s: float | None = None


class CommandOutputTooLarge(CommandError):
    """The command printed more than allowed and was ended."""

    code = "command.output_too_large"
    limit_bytes: int | None = None


class ApprovalError(ConduitError):
    """A flow that waits for a person is at fault."""

    code = "approval"


class ApprovalUnavailable(ApprovalError):
    """The flow cannot wait here, or cannot ask for a value of this type."""

    code = "approval.unavailable"


class ApprovalTimeout(ApprovalError):
    """Nobody answered within the time limit."""

    code = "approval.timeout"
    timeout_s: float | None = None


class CassetteError(ConduitError):
    """A file of recorded model calls cannot be read or written."""

    code = "cassette"
    path: str | None = None


class CassetteMiss(CassetteError):
    """A call is not among the recorded ones; ``changed`` names what is different from the nearest of them.

    Its entries are ``block``, ``model``, ``instruction``, ``signature``, ``examples``, ``sampling``, ``input``,
    ``messages`` and ``count``.
    """

    code = "cassette.miss"
    block: str | None = None
    changed: tuple[str, ...] = ()


class MissingDependency(ConduitError):
    """An optional part is not installed."""

    code = "missing_dependency"
    package: str | None = None
