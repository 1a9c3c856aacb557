"""DPFClient: the entry point; owns connections, caches and background tasks.

Each method is one call into the package that does the work. They are grouped by subject: `objects` (handles and
streams), `hosts`, `sites`, `reports`; `client` enters and leaves the connection.
"""

from dpf_async._client.client import DPFClient

__all__ = ["DPFClient"]
