"""The library's logger: structlog, imported when the first event is logged.

Importing structlog costs as much as the rest of this library, because its console renderer imports rich where
that is installed; most programs import this library long before it logs.
"""

from __future__ import annotations

from typing import Any


class Log:
    """Event names in snake_case past tense, facts as keywords; never a secret, never a complete object."""

    def debug(self, event: str, **facts: object) -> None:
        """For debugging this library."""
        _logger().debug(event, **facts)

    def info(self, event: str, **facts: object) -> None:
        """A change of state that explains later behavior."""
        _logger().info(event, **facts)

    def warning(self, event: str, **facts: object) -> None:
        """A fault that an administrator should know of."""
        _logger().warning(event, **facts)

    def error(self, event: str, **facts: object) -> None:
        """An update or a result was lost."""
        _logger().error(event, **facts)


def _logger() -> Any:  # Any: structlog's type of a logger that is not configured yet
    import structlog  # noqa: PLC0415  see the module docstring

    return structlog.get_logger("dpf_async")


log = Log()
