"""Order of resourceVersions, as far as they have one.

Decimal, without leading zeros, of any length, compared by length and then by digits: KEP-5504, conformance-tested for
custom resources. An aggregated API may use opaque versions, which have no order.
"""

from __future__ import annotations


def is_older(version: str, than: str) -> bool:
    """True if version is older than the other one. False if one of them is opaque."""
    if len(version) != len(than):
        return len(version) < len(than) and _ordered(version, than)
    return version < than and _ordered(version, than)


def newest(known: str, arrived: str) -> str:
    """The version to resume from: the one that arrived last, unless it is older or empty."""
    return known if not arrived or is_older(arrived, than=known) else arrived


def _ordered(*versions: str) -> bool:
    return all(version.isascii() and version.isdigit() for version in versions)
