"""Site files and host files: every problem is reported at once, with file, line, path and rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dpf_async import load_hosts, load_site, presets
from dpf_async._site.files import FILE_LIMIT
from dpf_async.errors import SpecError, UsageError

EXAMPLES = Path(__file__).parents[2] / "examples"

SITE = """
bfbs: {bfb: {url: "https://example.com/a.bfb"}}
flavors: {flavor: {}}
services:
  dts:
    chart: {source: {repoURL: "oci://example.com/charts", version: "1"}}
groups:
  compute: {bfb: bfb, flavor: flavor, nodeLabels: {group: compute}, deviceLabels: {kind: a}, services: [dts]}
"""

HOSTS = """
hosts:
  - name: node-1
    group: compute
    labels: {rack: "7"}
    devices:
      - {name: device-1, serialNumber: MT1, bmcIp: 10.0.0.1, labels: {kind: b}}
"""


def problems(tmp_path: Path, site: str, hosts: str | None = None) -> tuple[str, ...]:
    """The problems of a site file and a host file, without the path of the temporary directory."""
    (tmp_path / "site.yaml").write_text(site)
    (tmp_path / "hosts.yaml").write_text(hosts or "")
    with pytest.raises(SpecError) as caught:
        load_hosts(tmp_path / "hosts.yaml", load_site(tmp_path / "site.yaml"))
    assert isinstance(caught.value, UsageError)
    return tuple(problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems)


def test_the_example_files_are_valid() -> None:
    site = load_site(EXAMPLES / "site.yaml")
    hosts = load_hosts(EXAMPLES / "hosts.yaml", site)

    assert list(site.groups) == ["compute", "management", "storage"]
    assert sorted({len(host.devices) for host in hosts}) == [1, 2]


def test_the_data_hall_example_has_the_groups_and_services_of_the_requirement() -> None:
    site = load_site(EXAMPLES / "data-hall.yaml")

    assert {name: len(group.services) for name, group in site.groups.items()} == {
        "compute": 9,
        "management": 6,
        "storage": 7,
    }
    assert {site.name_of(service) for service in site.groups["storage"].services} == {
        "carbide-dpu-agent",
        "carbide-dhcp-server",
        "carbide-fmds",
        "carbide-otelcol",
        "doca-hbn",
        "dts",
        "snap-target",
    }
    assert len({group.bfb for group in site.groups.values()}) == 2
    assert all(group.node_effect.hold and group.strategy == "OnDelete" for group in site.groups.values())


def test_the_site_file_of_the_how_to_page_is_valid(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "how-to" / "define-a-site.md").read_text()
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "site.yaml").write_text(shown)

    site = load_site(tmp_path / "site.yaml")

    assert site.services["dts"].chart.source.version == "1.22.2"


def test_hosts_and_devices_get_the_labels_of_their_group(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "hosts.yaml").write_text(HOSTS)

    (host,) = load_hosts(tmp_path / "hosts.yaml", load_site(tmp_path / "site.yaml"))

    assert host.labels == {"group": "compute", "rack": "7"}
    assert host.devices[0].labels == {"kind": "b"}, "labels of the host file override those of the group"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("bfb: bfb,", "", "site.yaml:8: groups.compute.bfb: is required"),
        ('"https://example.com/a.bfb"', "7", "site.yaml:2: bfbs.bfb.url: Input should be a valid string"),
        (
            "compute: {bfb",
            "a-name-of-21-letters-x: {bfb",
            "site.yaml:8: groups.a-name-of-21-letters-x: the name has 22 characters; at most 20 are allowed",
        ),
        ("compute: {bfb", "Compute: {bfb", "site.yaml:8: groups.Compute: a name has only lower-case letters"),
        ("bfb: bfb,", "bfb: other,", "site.yaml:8: groups.compute.bfb: BFB other does not exist"),
        (
            "services: [dts]",
            "services: [hbn]",
            "site.yaml:8: groups.compute.services[0]: service hbn does not exist",
        ),
        ("services: [dts]", "services: [dts], typo: 1", "site.yaml:8: groups.compute.typo: unknown key"),
        (
            "services: [dts]",
            "services: [dts], nodeEffect: {hold: true, drain: true}",
            "site.yaml:8: groups.compute.nodeEffect: must have exactly one effect, not drain and hold",
        ),
        (
            "services: [dts]",
            "services: [dts], nodeEffect: {}",
            "site.yaml:8: groups.compute.nodeEffect: must have exactly one effect, not none",
        ),
        (
            "services: [dts]",
            "services: [dts], nodeEffect: {hodl: true, hold: true}",
            "site.yaml:8: groups.compute.nodeEffect.hodl: unknown key",
        ),
        (
            "services: [dts]",
            "services: [dts], chains: [{ports: [{service: hbn, interface: p0}]}]",
            "site.yaml:8: groups.compute.chains[0].ports[0].service: hbn is not among the services of the group",
        ),
        (
            "services: [dts]",
            "services: [dts], chains: [{ports: [{service: dts}]}]",
            "site.yaml:8: groups.compute.chains[0].ports[0]: service and interface require each other",
        ),
        (
            '"oci://example.com/charts"',
            '"http://x"',
            "site.yaml:6: services.dts.chart.source.repoURL: must match",
        ),
        ("flavor: {}", "flavor: {dpuMode: nick}", "site.yaml:3: flavors.flavor.dpuMode: must be one of"),
        ("bfb: bfb,", "bfb: bfb, bfb: bfb,", "site.yaml:8: groups.compute.bfb: the key occurs twice"),
    ],
)
def test_a_problem_in_a_site_file_is_reported_with_line_path_and_rule(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in SITE

    (found, *more) = problems(tmp_path, SITE.replace(old, new, 1))

    assert found.startswith(expected)
    assert more == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "node-1",
            "n" * 49,
            "hosts.yaml:3: hosts[0].name: the name has 49 characters; at most 48 are allowed",
        ),
        (
            "10.0.0.1",
            "10.0.0.256",
            "hosts.yaml:7: hosts[0].devices[0].bmcIp: is not an IPv4 address such as 10.0.0.1",
        ),
        ("serialNumber: MT1, ", "", "hosts.yaml:7: hosts[0].devices[0].serialNumber: is required"),
        (
            "group: compute",
            "group: other",
            "hosts.yaml:4: hosts[0].group: the site has no group other, only compute",
        ),
        (
            "serialNumber: MT1",
            "serialNumber: MT1, colour: red",
            "hosts.yaml:7: hosts[0].devices[0].colour: unknown key",
        ),
    ],
)
def test_a_problem_in_a_host_file_is_reported_with_line_path_and_rule(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in HOSTS

    assert problems(tmp_path, SITE, HOSTS.replace(old, new, 1)) == (expected,)


PRESETS = """
bfbs: {bfb: {url: "https://example.com/a.bfb"}}
flavors: {flavor: {preset: flavor, with: {vfs: 2}, dpuMode: dpu}}
interfaces: {preset: interfaces, with: {vfs: 2}, pf0vf1: null, extra: {labels: {a: b}, interface: {interfaceType: ovn}}}
networks: {preset: networks}
services:
  doca-hbn: {preset: hbn, with: {vfs: 2, version: 1.0.6}, resources: {memory: 8Gi, cpu: "2"}}
  dhcp:
    preset: carbide-dhcp-server
    with: {vfs: 2, version: "1", repository: "oci://example.com/charts"}
    service: carbide-dhcp-server
  dhcp-other:
    preset: carbide-dhcp-server
    with: {version: "2", repository: "oci://example.com/charts"}
    service: carbide-dhcp-server
groups:
  compute:
    bfb: bfb
    flavor: flavor
    nodeLabels: {group: compute}
    services: [doca-hbn, dhcp]
    chains: {preset: chains, with: {vfs: 2, hostServices: {carbide-dhcp-server: d_}}}
"""


def test_presets_are_expanded_and_keys_next_to_them_override_their_values(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(PRESETS)

    site = load_site(tmp_path / "site.yaml")

    hbn = site.services["doca-hbn"]
    assert hbn == presets.hbn(vfs=2, version="1.0.6", resources={"memory": "8Gi", "cpu": "2"})
    assert hbn.chart.source.version == "1.0.6"
    assert [port.name for port in hbn.interfaces] == ["p0_if", "pf0hpf_if", "pf0vf0_if", "pf0vf1_if"]
    assert set(site.interfaces) == {"p0", "pf0hpf", "pf0vf0", "extra"}, "null removes an entry"
    assert site.flavors["flavor"].dpu_mode == "dpu"
    assert "NUM_OF_VFS=2" in site.flavors["flavor"].nvconfig[0].parameters
    assert [[port.interface for port in switch.ports] for switch in site.groups["compute"].chains] == [
        [None, "p0_if"],
        [None, "pf0hpf_if", "d_pf0hpf_if"],
        [None, "pf0vf0_if", "d_pf0vf0_if"],
        [None, "pf0vf1_if", "d_pf0vf1_if"],
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{preset: hbn, with: {vfs: 2, version: 1.0.6}",
            "{preset: hnb, with: {vfs: 2, version: 1.0.6}",
            "site.yaml:7: services.doca-hbn.preset: there is no preset hnb here, only carbide-dhcp-server,",
        ),
        (
            "with: {vfs: 2, version: 1.0.6}",
            "with: {vsf: 2}",
            "site.yaml:7: services.doca-hbn.with.vsf: unknown key",
        ),
        (
            "with: {vfs: 2, version: 1.0.6}",
            "with: 7",
            "site.yaml:7: services.doca-hbn.with: must be a mapping",
        ),
        (
            "with: {vfs: 2, version: 1.0.6}",
            "with: {vfs: many}",
            "site.yaml:7: services.doca-hbn.with.vfs: Input should be a valid integer",
        ),
        (
            'with: {version: "2", repository: "oci://example.com/charts"}',
            'with: {repository: "oci://example.com/charts"}',
            "site.yaml:14: services.dhcp-other.with.version: is required",
        ),
        (
            'resources: {memory: 8Gi, cpu: "2"}',
            "resuorces: {memory: 8Gi}",
            "site.yaml:7: services.doca-hbn.resuorces: unknown key",
        ),
        (
            "chains: {preset: chains, with: {vfs: 2, hostServices: {carbide-dhcp-server: d_}}}",
            "chains: {preset: chains, with: {hostServices: {}}, mtu: 1}",
            "site.yaml:22: groups.compute.chains.mtu: the preset chains accepts no keys except preset and with",
        ),
        (
            "services: [doca-hbn, dhcp]",
            "services: [doca-hbn, dhcp, dhcp-other]",
            "site.yaml:21: groups.compute.services[2]: dhcp-other and dhcp are the same service carbide-dhcp-server",
        ),
        (
            "services: [doca-hbn, dhcp]",
            "services: [doca-hbn]",
            "site.yaml:22: groups.compute.chains[1].ports[2].service: carbide-dhcp-server is not among the services",
        ),
        (
            "    service: carbide-dhcp-server\n  dhcp-other:",
            "    service: carbide-dhcp-server\n  a-service-with-a-name-of-more-than-28:",
            "",
        ),
    ],
)
def test_a_problem_of_a_preset_is_reported_with_its_place(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in PRESETS

    found = problems(tmp_path, PRESETS.replace(old, new, 1))

    assert found[0].startswith(expected), found
    assert len({problem.split(": ")[1].split("[")[0] for problem in found}) == 1, (
        "no other problem is reported"
    )


def test_a_service_name_that_is_too_long_is_reported_with_the_limit(tmp_path: Path) -> None:
    name = "a-service-with-a-name-of-more-than-28"

    (found,) = problems(tmp_path, SITE.replace("dts", name))

    assert found.startswith(f"site.yaml:5: services.{name}: a service name has at most 28 characters")


def test_hosts_or_devices_with_equal_identifiers_are_reported_for_the_whole_file(tmp_path: Path) -> None:
    twin = HOSTS.split("hosts:\n")[1]

    found = problems(tmp_path, SITE, HOSTS + twin)

    assert found == (
        "hosts.yaml:8: hosts[1].name: node-1 is already the name of hosts[0]",
        "hosts.yaml:12: hosts[1].devices[0].name: device-1 is already the name of hosts[0].devices[0]",
        "hosts.yaml:12: hosts[1].devices[0].serialNumber: MT1 is already the serialNumber of hosts[0].devices[0]",
        "hosts.yaml:12: hosts[1].devices[0].bmcIp: 10.0.0.1 is already the bmcIp of hosts[0].devices[0]",
    )


def test_all_problems_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    bad = (
        SITE.replace("a.bfb", "a.bfb, color: red", 1)
        .replace("https://", "ftp://")
        .replace("nodeLabels", "labels")
    )

    lines = [int(problem.split(":")[1]) for problem in problems(tmp_path, bad)]

    assert len(lines) >= 3
    assert lines == sorted(lines)


@pytest.mark.parametrize("content", ["", "[]", "7", "groups: ["])
def test_a_document_that_is_not_a_site_file_is_rejected(tmp_path: Path, content: str) -> None:
    (tmp_path / "site.yaml").write_text(content)

    with pytest.raises(SpecError, match=r"site\.yaml"):
        load_site(tmp_path / "site.yaml")


def test_a_missing_large_or_binary_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * (FILE_LIMIT + 1))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")

    for name, message in (("none", "No such file"), ("large", "larger than"), ("binary", "not YAML")):
        with pytest.raises(SpecError, match=message):
            load_site(tmp_path / f"{name}.yaml")


def test_a_file_cannot_create_python_objects(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("groups: !!python/object/apply:os.system [echo]")

    with pytest.raises(SpecError, match="not YAML"):
        load_site(tmp_path / "site.yaml")


def test_nested_aliases_are_processed_once(tmp_path: Path) -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    (tmp_path / "site.yaml").write_text(f"a0: &a0 [x]\n{levels}\n")

    with pytest.raises(SpecError, match=r"unknown key"):
        load_site(tmp_path / "site.yaml")
