"""The library's logger: structlog, imported when the first line is written.

Importing structlog costs as much as the rest of this library, because its console renderer brings rich along
where that is installed; most programs import us long before anything is worth a line.
"""

from __future__ import annotations

from typing import Any


class Log:
    """Event names in snake_case past tense, facts as keywords; never a secret, never a whole object."""

    def debug(self, event: str, **facts: object) -> None:
        """For whoever debugs this library."""
        _logger().debug(event, **facts)

    def info(self, event: str, **facts: object) -> None:
        """Something happened that explains what comes next."""
        _logger().info(event, **facts)

    def warning(self, event: str, **facts: object) -> None:
        """Something happened that somebody should know."""
        _logger().warning(event, **facts)

    def error(self, event: str, **facts: object) -> None:
        """Something was lost."""
        _logger().error(event, **facts)


def _logger() -> Any:  # Any: structlog's own loggers are, until they are configured
    import structlog  # noqa: PLC0415  see the top

    return structlog.get_logger("dpf_async")


log = Log()
