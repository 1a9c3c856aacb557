"""Watch events: what `dpf.resource(Kind).watch()` yields, a closed union of frozen values."""

from __future__ import annotations

from dpf_async._watch.events import Added, Deleted, Gap, Resumed, Synced, Updated, WatchEvent
from dpf_async._watch.stream import EventStream

__all__ = [
    "Added",
    "Deleted",
    "EventStream",
    "Gap",
    "Resumed",
    "Synced",
    "Updated",
    "WatchEvent",
]
