"""Keys for caches by content: equal documents share one compiled form, regardless of which server holds them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from dpf_async.sim.apiserver.wire.codec import encode_in_order


@dataclass(frozen=True, slots=True)
class Content:
    """A JSON value that is hashed and compared by its digest; it must not change once it is a key.

    The order of members counts: errors are reported in the order of a schema's properties.
    """

    digest: bytes
    value: Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, value: Any) -> Content:
        """Digest a value."""
        return cls(hashlib.sha256(encode_in_order(value)).digest(), value)
