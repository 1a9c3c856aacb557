"""The kubectl commands of an administrator work on `dpf-async sim up` and on a real API server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import PIPE
from typing import Any

import anyio
import pytest
import yaml
from anyio.streams.text import TextReceiveStream

from dpf_async.models import KINDS
from tests.apiserver.build import find
from tests.kubectl.conftest import Kubectl, Site

pytestmark = pytest.mark.apiserver


def bundle(name: str, **labels: str) -> str:
    """A manifest of a BFB."""
    return yaml.safe_dump(
        {
            "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1",
            "kind": "BFB",
            "metadata": {"name": name, "labels": labels},
            "spec": {"url": f"https://content.example.com/{name}.bfb"},
        }
    )


async def fields(kubectl: Kubectl, *what: str) -> Any:
    """The output of kubectl get as JSON."""
    return json.loads(await kubectl("get", *what, "-o=json"))


@asynccontextmanager
async def watching(site: Site, *what: str) -> AsyncIterator[TextReceiveStream]:
    """Run kubectl get -w as a process; yield its stdout."""
    command = [str(find().kubectl), "get", *what, "--watch", "--output-watch-events"]
    async with await anyio.open_process(command, env=site.environment(), stderr=PIPE) as process:
        assert process.stdout is not None
        try:
            yield TextReceiveStream(process.stdout)
        finally:
            process.terminate()


async def read_until(stream: TextReceiveStream, *cells: str) -> str:
    """Read until a line has all of these cells; return everything that was read."""
    output = ""
    with anyio.fail_after(120):
        while not any(all(cell in line.split() for cell in cells) for line in output.splitlines()):
            output += await stream.receive()
    return output


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.PLURAL)
async def test_get_shows_the_printer_columns_of_the_kind(kubectl: Kubectl, kind: Any) -> None:
    crd = await fields(kubectl, "crd", f"{kind.PLURAL}.{kind.GROUP}")
    columns = crd["spec"]["versions"][0].get("additionalPrinterColumns", [{"name": "Age"}])

    narrow, wide = await kubectl("get", kind.PLURAL), await kubectl("get", kind.PLURAL, "-o=wide")

    names = [each["name"].upper() for each in columns if not each.get("priority")]
    assert narrow.splitlines()[0].split() == " ".join(["NAME", *names]).split()
    names = [each["name"].upper() for each in columns]
    assert wide.splitlines()[0].split() == " ".join(["NAME", *names]).split()


async def test_a_host_is_provisioned_by_two_annotate_commands(site: Site, kubectl: Kubectl) -> None:
    node, namespace = "node-02-00-00-00-0a-02", ["-n", site.namespace]
    held = f'{{.items[?(@.spec.dpuNodeName=="{node}")].metadata.name}}'
    (hold,) = (await kubectl("get", "dpunodemaintenance", f"-o=jsonpath={held}")).split()
    (dpu,) = (
        await kubectl("get", "dpu", "-o=name", "-l", f"provisioning.dpu.nvidia.com/dpunode-name={node}")
    ).split()

    release = "provisioning.dpu.nvidia.com/wait-for-external-nodeeffect=false"
    await kubectl(*namespace, "annotate", "dpunodemaintenance", hold, release, "--overwrite")
    required = r"{.metadata.annotations.provisioning\.dpu\.nvidia\.com/dpunode-external-reboot-required}"
    await kubectl("wait", f"dpunode/{node}", f"--for=jsonpath={required}", "--timeout=120s")
    assert await kubectl("get", dpu, "-o=jsonpath={.status.phase}") == "Rebooting"
    rebooted = "provisioning.dpu.nvidia.com/dpunode-external-reboot-required-"
    await kubectl(*namespace, "annotate", "dpunode", node, rebooted)

    await kubectl("wait", dpu, "--for=jsonpath={.status.phase}=Ready", "--timeout=120s")
    assert "condition met" in await kubectl("wait", dpu, "--for=condition=Ready", "--timeout=120s")


async def test_a_watch_shows_each_event_of_the_selected_objects(site: Site, kubectl: Kubectl) -> None:
    async with watching(site, "bfb", "-l", "watched=yes") as stream:
        await kubectl("apply", "-f", "-", stdin=bundle("watched", watched="yes"))
        await read_until(stream, "ADDED", "watched")
        await read_until(stream, "MODIFIED", "watched", "Ready")
        await kubectl("label", "bfb", "watched", "watched-")
        await read_until(stream, "DELETED", "watched")
    await kubectl("delete", "bfb", "watched")


async def test_selected_objects_are_shown_in_the_requested_format(kubectl: Kubectl) -> None:
    node = "node-02-00-00-00-0a-04"
    selector = ("-l", f"provisioning.dpu.nvidia.com/dpunode-name={node}")

    names = (await kubectl("get", "dpu", *selector, "-o=name")).split()
    (listed,) = (await fields(kubectl, "dpunode", "--field-selector", f"metadata.name={node}"))["items"]
    as_yaml = yaml.safe_load(await kubectl("get", "dpunode", node, "-o=yaml"))
    devices = await kubectl("get", "dpunode", node, "-o=jsonpath={.spec.dpus[*].name}")

    assert len(names) == 2
    assert all(name.startswith(f"dpu.provisioning.dpu.nvidia.com/{node}-") for name in names)
    assert as_yaml == listed
    assert sorted(name.rpartition(f"{node}-")[2] for name in names) == sorted(devices.split())


async def test_describe_shows_an_object_and_explain_its_fields(kubectl: Kubectl) -> None:
    described = await kubectl("describe", "bfb", "bf-bundle-3-2-1")
    explained = await kubectl("explain", "dpu.status.phase")

    assert "Phase:" in described
    assert described.splitlines()[-1].split() == ["Events:", "<none>"]
    assert "FIELD: phase <string>" in explained
    assert "    Node Effect\n" in explained


async def test_events_are_shown_for_the_object_that_they_refer_to(site: Site, kubectl: Kubectl) -> None:
    bfb = await fields(kubectl, "bfb", "bf-bundle-3-2-1")
    event: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "bf-bundle-3-2-1.1"},
        "involvedObject": {
            "kind": "BFB",
            "namespace": site.namespace,
            "name": bfb["metadata"]["name"],
            "uid": bfb["metadata"]["uid"],
            "apiVersion": bfb["apiVersion"],
        },
        "reason": "Downloaded",
        "message": "the bundle is here",
        "type": "Normal",
    }
    other = {
        **event,
        "metadata": {"name": "other.1"},
        "involvedObject": {**event["involvedObject"], "name": "other", "uid": "1"},
        "message": "another bundle is here",
    }
    await kubectl(
        "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [event, other]})
    )

    described = await kubectl("describe", "bfb", "bf-bundle-3-2-1")
    listed = await kubectl("events", "--for", "bfb/bf-bundle-3-2-1")
    await kubectl("delete", "event", "bf-bundle-3-2-1.1", "other.1")

    for shown in described, listed:
        assert "the bundle is here" in shown
        assert "another bundle" not in shown


async def test_an_object_is_edited_labelled_and_annotated(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=bundle("changed", rack="left"))

    await kubectl("edit", "bfb", "changed", env={"KUBE_EDITOR": "sed -i s/left/right/"})
    edited = await fields(kubectl, "bfb", "changed")
    await kubectl("patch", "bfb", "changed", "--type=merge", '-p={"metadata":{"labels":{"rack":"a3"}}}')
    operations = '-p=[{"op":"add","path":"/metadata/labels/hall","value":"h1"}]'
    await kubectl("patch", "bfb", "changed", "--type=json", operations)
    await kubectl("label", "bfb", "changed", "row=r1", "hall-")
    await kubectl("annotate", "bfb", "changed", "example.com/note=seen")
    changed = await fields(kubectl, "bfb", "changed")
    await kubectl("delete", "bfb", "changed")

    assert edited["metadata"]["labels"] == {"rack": "right"}
    assert changed["metadata"]["labels"] == {"rack": "a3", "row": "r1"}
    assert changed["metadata"]["annotations"]["example.com/note"] == "seen"


async def test_an_edit_that_the_server_rejects_is_stored_for_the_user(site: Site, kubectl: Kubectl) -> None:
    editor = "sed -i s,^.*url:.*,\\ \\ url:\\ nowhere,"

    refused = await site.kubectl("edit", "bfb", "bf-bundle-3-2-1", env={"KUBE_EDITOR": editor})

    assert refused.status == 1
    assert "A copy of your changes has been stored" in refused.err
    url = await kubectl("get", "bfb", "bf-bundle-3-2-1", "-o=jsonpath={.spec.url}")
    assert url.startswith("https://content.example.com/")


async def test_delete_waits_for_the_deletion_unless_disabled(kubectl: Kubectl) -> None:
    for name in "deleted", "terminating":
        await kubectl("create", "-f", "-", stdin=bundle(name))

    await kubectl("delete", "bfb", "deleted")
    left = (await kubectl("get", "bfb", "-o=name")).split()
    await kubectl("delete", "bfb", "terminating", "--wait=false")
    await kubectl("wait", "bfb/terminating", "--for=delete", "--timeout=120s")

    assert "bfb.provisioning.dpu.nvidia.com/deleted" not in left
    assert await kubectl("get", "bfb", "deleted", "terminating", "--ignore-not-found") == ""


@pytest.mark.parametrize("site", ["embedded"], indirect=True)  # the real server has no garbage collector
@pytest.mark.parametrize(
    ("cascade", "remains"), [("background", False), ("foreground", False), ("orphan", True)]
)
async def test_dependents_are_deleted_or_orphaned_as_requested(
    kubectl: Kubectl, cascade: str, remains: bool
) -> None:
    await kubectl("create", "configmap", "owner")
    uid = await kubectl("get", "configmap", "owner", "-o=jsonpath={.metadata.uid}")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "blockOwnerDeletion": True}
    owned = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "owned", "ownerReferences": [owner]},
    }
    await kubectl("create", "-f", "-", stdin=json.dumps(owned))

    await kubectl("delete", "configmap", "owner", f"--cascade={cascade}")

    if remains:
        left = await fields(kubectl, "configmap", "owned")
        assert "ownerReferences" not in left["metadata"]
        await kubectl("delete", "configmap", "owned")
    else:
        await kubectl("wait", "configmap/owned", "--for=delete", "--timeout=120s")


async def test_a_secret_is_created_applied_and_replaced(kubectl: Kubectl) -> None:
    create = ("create", "secret", "generic", "password", "--from-literal=password=old")
    await kubectl(*create)
    manifest = (await kubectl(*create, "--dry-run=client", "-o=yaml")).replace("b2xk", "bmV3")

    await kubectl("apply", "-f", "-", stdin=manifest)
    applied = await kubectl("get", "secret", "password", "-o=jsonpath={.data.password}")
    await kubectl("patch", "secret", "password", '-p={"stringData":{"user":"root"}}')
    patched = (await fields(kubectl, "secret", "password"))["data"]
    await kubectl("delete", "secret", "password")

    assert applied == "bmV3"
    assert patched == {"password": "bmV3", "user": "cm9vdA=="}


async def test_auth_can_i_reports_permissions(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "delete", "dpus") == "yes\n"
    assert await kubectl("auth", "can-i", "patch", "dpunodes", "--subresource=status") == "yes\n"
