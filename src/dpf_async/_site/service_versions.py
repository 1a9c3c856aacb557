"""Versions of services: the charts that DPUDeployments install, compared with the expected versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from dpf_async._specs import SiteSpec
from dpf_async.errors import DecodeError
from dpf_async.models import DPUDeployment, DPUServiceTemplate, Resource

if TYPE_CHECKING:
    from dpf_async._session.client import Client

T = TypeVar("T", bound=Resource)


@dataclass(frozen=True, slots=True)
class ServiceVersion:
    """A service of a DPUDeployment, and the version of its Helm chart.

    Attributes:
        deployment: name of the DPUDeployment; empty for an expected service that no DPUDeployment has.
        service: name of the service in the DPUDeployment.
        template: name of its DPUServiceTemplate; None if the DPUDeployment has no such service.
        found: version of the chart in that DPUServiceTemplate; None if there is none.
        expected: the expected version; None if none was given.
    """

    deployment: str
    service: str
    template: str | None
    found: str | None
    expected: str | None = None

    @property
    def matches(self) -> bool | None:
        """Whether the version is the expected one; None if no version was expected."""
        return None if self.expected is None else self.found == self.expected

    def __str__(self) -> str:
        verdicts = {None: "", True: " (match)", False: f" (DIFFERS: expected {self.expected})"}
        return f"{self.deployment} {self.service}: {self.found or 'missing'}{verdicts[self.matches]}"


async def service_versions(
    dpf: Client, expected: SiteSpec | Mapping[str, str] | None
) -> tuple[ServiceVersion, ...]:
    """The versions of the services of all DPUDeployments; see DPFClient.service_versions."""
    deployments = await _list(dpf, DPUDeployment)
    charts = {
        template.name: template.spec.helm_chart.source.version
        for template in await _list(dpf, DPUServiceTemplate)
    }
    used = {
        (str(deployment.name), service): references.service_template
        for deployment in deployments
        for service, references in deployment.spec.services.items()
    }
    wanted = dict(_expected(expected, used))
    return tuple(
        ServiceVersion(
            deployment=deployment,
            service=service,
            template=(template := used.get((deployment, service))),
            found=None if template is None else charts.get(template),
            expected=wanted.get((deployment, service)),
        )
        for deployment, service in sorted(used.keys() | wanted.keys())
    )


def _expected(
    expected: SiteSpec | Mapping[str, str] | None, used: Mapping[tuple[str, str], str]
) -> Iterator[tuple[tuple[str, str], str]]:
    if isinstance(expected, SiteSpec):
        for name, group in expected.groups.items():
            for service in group.services:
                version = expected.services[service].chart.source.version
                yield (name, expected.name_of(service)), version
    elif expected is not None:
        for service, version in expected.items():
            having = [deployment for deployment, one in used if one == service]
            for deployment in having or [""]:
                yield (deployment, service), version


async def _list(dpf: Client, kind: type[T]) -> tuple[T, ...]:
    listed = await dpf.resource(kind).list()
    for obj in listed.undecodable:
        raise DecodeError(
            f"{kind.KIND} {obj.name} cannot be read: {obj.error}", kind=kind.KIND, name=obj.name
        )
    return listed.items
