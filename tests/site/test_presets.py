"""Presets have Carbide's values, and each value can be overridden."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from dpf_async import SiteSpec, presets
from dpf_async._site.preset_expansion import PLACES
from dpf_async.models import BFBSpec, known
from dpf_async.specs import ServiceSpec

CHARTS = {"version": "0.9.2", "repository": "oci://example.com/charts"}
SERVICES: dict[str, Callable[..., ServiceSpec]] = {
    "doca-hbn": presets.hbn,
    "dts": presets.dts,
    "carbide-dpu-agent": presets.carbide_dpu_agent,
    "carbide-dhcp-server": presets.carbide_dhcp_server,
    "carbide-fmds": presets.carbide_fmds,
    "carbide-otelcol": presets.carbide_otelcol,
}


def test_the_presets_together_describe_the_site_of_carbide() -> None:
    services = {name: preset(**CHARTS) for name, preset in SERVICES.items()}

    site = SiteSpec(
        bfbs={"bfb": BFBSpec(url="https://example.com/a.bfb")},
        flavors={"flavor": presets.flavor()},
        services=services,
        interfaces=presets.interfaces(),
        networks=presets.networks(),
        groups={
            "nico-deployment-v2": presets.group(
                bfb="bfb", flavor="flavor", services=tuple(services), chains=presets.chains()
            )
        },
    )

    (group,) = site.groups.values()
    assert group.node_labels[known.CARBIDE_CONTROLLED_NODE_LABEL] == "true"
    assert group.strategy == "OnDelete"
    assert group.node_effect.hold
    assert len(site.interfaces) == len(group.chains) == 18
    used = {
        (port.service, port.interface) for switch in group.chains for port in switch.ports if port.service
    }
    existing = {(name, port.name) for name, service in services.items() for port in service.interfaces}
    assert used == existing, "the chains connect exactly the interfaces of the services"


def test_default_versions_are_those_of_carbide() -> None:
    assert presets.hbn().chart.source.version == "1.0.5"
    assert presets.dts().chart.source.version == "1.22.1"


@pytest.mark.parametrize("preset", [presets.carbide_dpu_agent, presets.carbide_otelcol])
def test_an_unpublished_chart_requires_a_version(preset: Callable[..., ServiceSpec]) -> None:
    with pytest.raises(TypeError, match="version"):
        preset(repository="oci://example.com/charts")


@pytest.mark.parametrize("preset", SERVICES.values(), ids=list(SERVICES))
def test_every_value_of_a_service_can_be_overridden(preset: Callable[..., ServiceSpec]) -> None:
    other = preset(
        **CHARTS,
        values={"image": {"tag": "x"}},
        chart={"source": {"chart": "mirrored"}},
        service="mine",
        configuration={"serviceDaemonSet": {"annotations": {"a": "b"}}},
        interfaces=[{"name": "eth0", "network": "elsewhere"}],
        resources={"cpu": "1"},
        disruptive=True,
    )

    assert other.chart.source.to_wire() == {
        "repoURL": "oci://example.com/charts",
        "chart": "mirrored",
        "version": "0.9.2",
    }
    assert other.chart.values["image"] == {"tag": "x"}
    assert other.service == "mine"
    assert other.configuration is not None
    assert other.configuration.service_daemon_set is not None
    assert [port.network for port in other.interfaces] == ["elsewhere"]
    assert other.resources["cpu"] == "1"
    assert other.disruptive


def test_none_removes_a_value() -> None:
    assert presets.dts(configuration=None).configuration is None
    assert "exposedPorts" not in presets.dts(values={"exposedPorts": None, "a": 1}).chart.values


def test_an_unknown_field_is_rejected() -> None:
    with pytest.raises(ValidationError, match="disruptve"):
        presets.dts(disruptve=True)
    with pytest.raises(ValidationError, match="nvconfg"):
        presets.flavor(nvconfg=[])


def test_every_preset_can_be_used_in_a_site_file() -> None:
    in_files = {preset for known_here in PLACES.values() for preset in known_here.values()}

    assert in_files == {getattr(presets, name) for name in presets.__all__} - {presets.group}


@pytest.mark.parametrize("name", presets.__all__)
def test_every_argument_of_a_preset_is_described(name: str) -> None:
    preset = getattr(presets, name)
    doc = inspect.getdoc(preset) or ""

    for parameter in inspect.signature(preset).parameters:
        assert f"{parameter}:" in doc, f"the docstring of {name} does not describe {parameter}"
