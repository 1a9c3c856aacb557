"""The keys and certificates of one API server, as files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

__all__ = ["Certificate", "Keys"]

_NO_HOST = "client.invalid"
"""The host name in client certificates: Go rejects a certificate with an empty critical extension."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two PEM files."""

    file: Path
    key: Path


class Keys:
    """A certificate authority and the certificates that it signed.

    Args:
        folder: created for the files, inaccessible to other users.
        host: address or name of the server.

    Attributes:
        ca: file of the authority's certificate.
        server: certificate of the server.
        service_accounts: the key that signs tokens of service accounts; its certificate is not used.
    """

    def __init__(self, folder: Path, *, host: str) -> None:
        folder.mkdir(mode=0o700)
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self.server = self._write("server", self._authority.issue_cert(host))
        self.service_accounts = self._write("service-accounts", self._authority.issue_cert(_NO_HOST))

    def client(self, user: str, groups: Sequence[str] = (), *, until: datetime | None = None) -> Certificate:
        """Create a client certificate; Kubernetes reads the user from its common name, the group from its organization.

        trustme supports one group. Another certificate for the same user replaces the files.

        Args:
            until: the time of its expiry, in whole seconds; None is far in the future.
        """
        (group,) = groups or (None,)
        signed = self._authority.issue_cert(
            _NO_HOST, common_name=user, organization_name=group, not_after=until
        )
        return self._write(hashlib.sha256(user.encode()).hexdigest()[:16], signed)

    def _write(self, name: str, signed: trustme.LeafCert) -> Certificate:
        certificate = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        signed.cert_chain_pems[0].write_to_path(certificate.file)
        signed.private_key_pem.write_to_path(certificate.key)
        return certificate
