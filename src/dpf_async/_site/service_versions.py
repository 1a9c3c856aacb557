"""Versions of services: the charts that DPUDeployments install, beside those that somebody expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from dpf_async._specs import SiteSpec
from dpf_async.errors import DecodeError
from dpf_async.models import DPUDeployment, DPUServiceTemplate, Resource

if TYPE_CHECKING:
    from dpf_async._handshakes.plain_calls import Client

T = TypeVar("T", bound=Resource)


@dataclass(frozen=True, slots=True)
class ServiceVersion:
    """A service of a DPUDeployment, and the version of its helm chart.

    Attributes:
        deployment: name of the DPUDeployment; empty if a service was expected that none of them has.
        service: name of the service in it.
        template: name of its DPUServiceTemplate; None if the DPUDeployment has no such service.
        found: version of the chart in that DPUServiceTemplate; None if there is none.
        expected: the version that was expected; None if nothing was.
    """

    deployment: str
    service: str
    template: str | None
    found: str | None
    expected: str | None = None

    @property
    def matches(self) -> bool | None:
        """Whether it is as expected; None if nothing was."""
        return None if self.expected is None else self.found == self.expected

    def __str__(self) -> str:
        words = {None: "", True: " (match)", False: f" (DIFFERS: expected {self.expected})"}
        return f"{self.deployment} {self.service}: {self.found or 'missing'}{words[self.matches]}"


async def versions(dpf: Client, expected: SiteSpec | Mapping[str, str] | None) -> tuple[ServiceVersion, ...]:
    """The services of all DPUDeployments; see DPFClient.service_versions."""
    deployments = await _readable(dpf, DPUDeployment)
    charts = {
        template.name: template.spec.helm_chart.source.version
        for template in await _readable(dpf, DPUServiceTemplate)
    }
    there = {
        (str(deployment.name), service): references.service_template
        for deployment in deployments
        for service, references in deployment.spec.services.items()
    }
    wanted = dict(_expected(expected, there))
    return tuple(
        ServiceVersion(
            deployment=deployment,
            service=service,
            template=(template := there.get((deployment, service))),
            found=None if template is None else charts.get(template),
            expected=wanted.get((deployment, service)),
        )
        for deployment, service in sorted(there.keys() | wanted.keys())
    )


def _expected(
    expected: SiteSpec | Mapping[str, str] | None, there: Mapping[tuple[str, str], str]
) -> Iterator[tuple[tuple[str, str], str]]:
    if isinstance(expected, SiteSpec):
        for name, group in expected.groups.items():
            for service in group.services:
                version = expected.services[service].chart.source.version
                yield (name, expected.name_of(service)), version
    elif expected is not None:
        for service, version in expected.items():
            having = [deployment for deployment, one in there if one == service]
            for deployment in having or [""]:
                yield (deployment, service), version


async def _readable(dpf: Client, kind: type[T]) -> tuple[T, ...]:
    listed = await dpf.resource(kind).list()
    for obj in listed.undecodable:
        raise DecodeError(
            f"{kind.KIND} {obj.name} cannot be read: {obj.error}", kind=kind.KIND, name=obj.name
        )
    return listed.items
