"""What the layers of a model keep of a request: keys and values of its tokens, a window of them, or a state.

A group is layers that keep alike. All figures are those of one GPU of ``tp`` that hold the model together.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

Kind = Literal["full", "window", "latent", "state", "cross"]


@dataclass(frozen=True)
class Group:
    """Layers that keep alike.

    Attributes:
        kind: ``full`` keeps every token, ``window`` the last ``window`` tokens (sliding or chunked), ``latent`` one
            compressed vector for each token (MLA), ``state`` a state of fixed size for a request,
            ``cross`` the tokens of an image or a source text, a fixed number for a request.
        layers: How many.
        kv_heads: Heads that keep something; GPUs share them out.
        numbers: Of one head and token, keys and values together.
        window: Tokens kept of a request; None for all.
        extra_bytes: Of one token and layer, whatever the number type (an indexer's keys).
        state_numbers: Of one layer and request in the model's own number type.
        state_floats: Of one layer and request in float32.
    """

    kind: Kind
    layers: int
    kv_heads: int = 1
    numbers: int = 0
    window: int | None = None
    extra_bytes: int = 0
    state_numbers: int = 0
    state_floats: int = 0

    def token_bytes(self, tp: int, kv_bytes: int) -> int:
        """Of one token that is kept; 0 for a state. Heads are copied when there are more GPUs than heads."""
        return self.layers * (ceil(self.kv_heads / tp) * self.numbers * kv_bytes + self.extra_bytes)

    def state_bytes(self, tp: int, dtype_bytes: int) -> int:
        """Of one request's state."""
        return self.layers * ceil((self.state_numbers * dtype_bytes + self.state_floats * 4) / tp)

    def kept(self, tokens: int) -> int:
        """Tokens that are kept of a request of that many."""
        if self.kind == "cross":
            return self.window or 0
        return tokens if self.window is None else min(tokens, self.window)
