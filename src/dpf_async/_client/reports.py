"""Reports about the API server, permissions, compatibility and hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dpf_async._base.names import validate_name
from dpf_async._client.objects import ObjectMethods
from dpf_async._diagnostics import compatibility, permissions
from dpf_async._diagnostics.snapshot import report_of
from dpf_async.errors import NotFound
from dpf_async.models import DPUDevice, DPUNode

if TYPE_CHECKING:
    from dpf_async._diagnostics.compatibility import Compatibility
    from dpf_async._diagnostics.permissions import Access, Role
    from dpf_async._diagnostics.snapshot import HostReport
    from dpf_async._watch.reflector import CacheHealth


class ReportMethods(ObjectMethods):
    """The methods of DPFClient that report and change nothing."""

    @property
    def health(self) -> Mapping[str, CacheHealth]:
        """The health of each cache, by what it holds: "dpus in namespace …"."""
        return self._entered.reflectors.health

    async def server_version(self) -> str:
        """The version of the API server, such as "v1.34.1": the cheapest check whether the server can be reached.

        Raises:
            ConnectionFailed: the server could not be reached.
            Unauthorized: the server rejected the credentials.
        """
        return await self._entered.server_version()

    async def snapshot(self, node: str) -> HostReport:
        """Everything that DPF has about one host at one moment, for a support ticket.

        The report lists every object with its identity, phase, conditions, labels, annotations and what it waits for,
        and names objects that cannot be decoded. It includes all writes of this client, and nothing that may hold a
        password.

        Args:
            node: name of the DPUNode. The DPUNode itself may be gone if an object still refers to it.

        Raises:
            NotFound: there is no DPUNode of this name, and no object refers to one.
            Unauthorized, Forbidden, KindNotServed: the objects cannot be read until an administrator changes something.
        """
        name = validate_name(DPUNode, node)
        caches = self._entered.caches
        site = await caches.site()
        # The same reflector as the site's: readers of one selection share one.
        devices = (await caches.objects(DPUDevice)).reflector.store
        await caches.sync_site()
        # No await from here: the report shows one moment.
        report = report_of(
            site.view(name),
            devices,
            reflectors=caches.site_reflectors,
            namespace=self.namespace,
            now=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if report is None:
            raise NotFound(
                f"DPF has no host {node}: there is no DPUNode of this name, and no object refers to one;"
                " resource(DPUNode).list() has the names",
                status=404,
                reason="NotFound",
                object=f"DPUNode {node}",
            )
        return report

    async def check_access(
        self, role: Role = "operator", *, operations: Iterable[str] | None = None
    ) -> Access:
        """List the missing permissions before an operation is tried. Reads and changes no object.

        Args:
            role: "observer" only reads; "operator" runs everything that this library does.
            operations: check these instead of the role's, by their public names: "reprovision_dpu", "provision".

        Returns:
            What is missing, and for which operations. Its text is a sentence for the administrator who grants access.

        Raises:
            UsageError: there is no such role or operation.
            Unauthorized, Forbidden: the server rejected the credentials, or refuses access reviews.
            APIError, ConnectionFailed: the server could not be asked.
        """
        return await permissions.check_access(self._entered.transport, self.namespace, role, operations)

    async def check_compatibility(self) -> Compatibility:
        """Report what in this version will fail with the CRDs of the cluster, before an operation is tried.

        Compares the schemas that the API server publishes with the models: missing kinds, removed fields, fields that
        became required, values that are no longer accepted. Any authenticated user may call it; it changes nothing.

        Raises:
            APIError, ConnectionFailed, DecodeError: the schemas could not be read.

        Source: Kubernetes, "The Kubernetes API", OpenAPI V3; docs/dpf/operations.md#dpf-upgrade.
        """
        return await compatibility.check_compatibility(self._entered.transport)
