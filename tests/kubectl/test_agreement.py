"""kubectl has the same output on the embedded server and on a real API server with the same objects."""

from __future__ import annotations

import difflib
import re

import anyio
import pytest

from dpf_async.models import KINDS
from tests.cli.in_process import Completed
from tests.kubectl.conftest import Site, Sites

pytestmark = pytest.mark.apiserver

NODE = "node-02-00-00-00-0a-01"
DPU = f"{NODE}-device-02-00-00-00-0b-01"
BUNDLE = """
apiVersion: provisioning.dpu.nvidia.com/v1alpha1
kind: BFB
metadata: {name: compared, labels: {rack: a1}}
spec: {url: "https://content.example.com/compared.bfb"}
"""

_MASKS = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000|Z)", "TIME"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
    (r'(?i)(resource ?version"?:) +"?\d+"?', r"\1 VERSION"),
    (r"(LIVE|MERGED)-\d+", r"\1"),
    # Names and a label of objects that the operator creates end in a hash that depends on the namespace. YAML quotes
    # only a hash that it would otherwise parse as a number (0123456789, 12345e6789).
    (r'(hash"?[:=] ?)"?[0-9a-f]{5,16}\b"?', r"\1HASH"),
    (r"-[0-9a-f]{5,16}\b", "-HASH"),
    (r"\b(\d+[ywdhms]){1,2}\b", "AGE"),
    (r"[IW]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", ""),
    (r" +", " "),
)


def masked(text: str, namespace: str) -> str:
    """The text without values that differ between any two sites."""
    text = text.replace(namespace, "NAMESPACE")
    for pattern, name in _MASKS:
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text


async def on_both(sites: Sites, *arguments: str, stdin: str = "") -> tuple[Completed, Completed]:
    """Run kubectl on both sites and return both results, masked."""
    ended: dict[str, Completed] = {}

    async def on(site: Site) -> None:
        done = await site.kubectl(*arguments, stdin=stdin)
        out, err = (masked(text, site.namespace) for text in (done.out, done.err))
        ended[site.name] = Completed(done.status, out, err)

    async with anyio.create_task_group() as tasks:
        for site in sites["embedded"], sites["real"]:
            tasks.start_soon(on, site)
    return ended["embedded"], ended["real"]


async def agreed(sites: Sites, *arguments: str, stdin: str = "") -> Completed:
    """Run kubectl on both sites, require the same result, and return it."""
    embedded, real = await on_both(sites, *arguments, stdin=stdin)
    left, right = (str(result).split(r"\n") for result in (embedded, real))
    assert embedded == real, "\n".join(difflib.unified_diff(left, right, "embedded", "real", lineterm=""))
    return embedded


@pytest.mark.parametrize("kind", [kind.PLURAL for kind in KINDS])
@pytest.mark.parametrize("output", ["", "-o=wide", "-o=name"])
async def test_get_has_the_same_output_for_every_kind(sites: Sites, kind: str, output: str) -> None:
    ended = await agreed(sites, "get", kind, *([output] if output else []))

    assert ended.status == 0


@pytest.mark.parametrize(
    "command",
    [
        f"get dpu {DPU} -o=yaml",
        f"get dpu {DPU} -o=json",
        f"get dpunode {NODE} -o=jsonpath={{.spec.dpus[*].name}}",
        "get dpu -o=custom-columns=NAME:.metadata.name,PHASE:.status.phase",
        "get dpu --sort-by=.spec.serialNumber",
        "get dpunode --show-labels",
        f"get dpudevice -l provisioning.dpu.nvidia.com/dpunode-name={NODE}",
        f"get dpudevice -l provisioning.dpu.nvidia.com/dpunode-name!={NODE}",
        f"get dpunode --field-selector metadata.name={NODE}",
        "get dpunode --field-selector spec.colour=red",
        "get dpunode -l =",
        "get dpunode --chunk-size=1",
        "get dpunode no-such-node",
        "get dpunode no-such-node --ignore-not-found",
        "get no-such-kind",
        f"describe dpu {DPU}",
        f"describe dpunode {NODE}",
        "describe bfb",
        "describe dpudeployment compute",
        "events",
        "explain dpu",
        "explain dpu.status.phase",
        "explain dpu.spec --recursive",
        "explain dpudeployment.spec.dpus.dpuSets",
        "explain dpu.nothing",
        "explain secret.data",
        "explain dpunode --output=plaintext-openapiv2",
        "auth can-i delete dpus",
        "auth can-i get secrets --subresource=none",
    ],
)
async def test_commands_that_read_have_the_same_output(sites: Sites, command: str) -> None:
    await agreed(sites, *command.split(" "))


async def test_every_kind_is_listed_by_api_resources(sites: Sites) -> None:
    groups = sorted({kind.GROUP for kind in KINDS})

    for group in groups:
        for options in (), ("-o=wide",), ("--namespaced=false",), ("--verbs=list,watch", "-o=name"):
            ended = await agreed(sites, "api-resources", "--sort-by=name", f"--api-group={group}", *options)

    assert {line.partition(".")[2] for line in ended.out.splitlines()} == {groups[-1]}


async def test_apply_and_diff_have_the_same_output(sites: Sites) -> None:
    changed = BUNDLE.replace("rack: a1", "rack: a2")

    assert (await agreed(sites, "diff", "-f", "-", stdin=BUNDLE)).status == 1
    assert (
        "created (server dry run)"
        in (await agreed(sites, "apply", "--dry-run=server", "-f", "-", stdin=BUNDLE)).out
    )
    assert "created" in (await agreed(sites, "apply", "-f", "-", stdin=BUNDLE)).out
    await agreed(sites, "wait", "bfb/compared", "--for=jsonpath={.status.phase}=Ready", "--timeout=120s")
    assert (await agreed(sites, "diff", "-f", "-", stdin=BUNDLE)).status == 0
    assert "+ rack: a2" in (await agreed(sites, "diff", "-f", "-", stdin=changed)).out
    assert "configured" in (await agreed(sites, "apply", "-f", "-", stdin=changed)).out
    assert "unchanged" in (await agreed(sites, "apply", "-f", "-", stdin=changed)).out
    await agreed(sites, "get", "bfb", "compared", "-o=yaml", "--show-managed-fields")
    assert "deleted" in (await agreed(sites, "delete", "bfb", "compared")).out


async def test_conflicts_of_server_side_apply_have_the_same_output(sites: Sites) -> None:
    first = BUNDLE.replace("compared", "contested")
    other = first.replace("rack: a1", "rack: b1")
    apply = ("apply", "--server-side", "-f", "-")

    assert "serverside-applied" in (await agreed(sites, *apply, stdin=first)).out
    conflict = await agreed(sites, *apply, "--field-manager=other", stdin=other)
    forced = await agreed(sites, *apply, "--field-manager=other", "--force-conflicts", stdin=other)
    await agreed(sites, "delete", "bfb", "contested")

    assert conflict.status == 1
    assert ".metadata.labels.rack" in conflict.err
    assert forced.status == 0


@pytest.mark.parametrize(
    "how", [("apply",), ("apply", "--server-side"), ("create",), ("create", "--validate=warn")]
)
@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        ("spec:", "speck:"),
        ("{url:", "{size: 7, url:"),
        ('"https://content.example.com/mistaken.bfb"', "7"),
        ('"https://content.example.com/mistaken.bfb"', "no-url"),
        ("kind: BFB", "kind: BBF"),
        ("name: mistaken", "name: Mistaken"),
        ("rack: a1", "rack: a/1"),
    ],
)
async def test_mistakes_in_a_manifest_have_the_same_output(
    sites: Sites, how: tuple[str, ...], text: str, replacement: str
) -> None:
    wrong = BUNDLE.replace("compared", "mistaken").replace(text, replacement)

    ended = await agreed(sites, *how, "--dry-run=server", "-f", "-", stdin=wrong)

    assert ended.status == 1 or "warn" in how[-1]
