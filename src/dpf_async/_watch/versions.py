"""Which of two resourceVersions is newer, where that can be known at all.

Decimal, without leading zeros, of any length, compared by length and then by digits: KEP-5504, conformance-tested for
custom resources. An aggregated API may use opaque ones; then the answer is "don't know".
"""

from __future__ import annotations


def is_older(version: str, than: str) -> bool:
    """True if version is surely older than the other one. Opaque versions never are."""
    if len(version) != len(than):
        return len(version) < len(than) and _ordered(version, than)
    return version < than and _ordered(version, than)


def newest(known: str, arrived: str) -> str:
    """The version to go on from: the one that arrived last, unless it is surely older, or none at all."""
    return known if not arrived or is_older(arrived, than=known) else arrived


def _ordered(*versions: str) -> bool:
    return all(version.isascii() and version.isdigit() for version in versions)
