"""`python -m tests.conformance`: compare the servers, print what differs; the exit code is 1 for a new difference.

Starts a kube-apiserver of its own (`make apiserver` builds it), or asks the one of --kubeconfig.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

import anyio

from dpf_async import crds
from tests.apiserver.admin import Admin, GivenCluster
from tests.apiserver.build import NotBuilt, find
from tests.apiserver.cluster import RealCluster
from tests.conformance.differences import PAGE, gone, known_differences, new, shown
from tests.conformance.exchanges import Scenario
from tests.conformance.real import compare_with
from tests.conformance.runner import Comparison
from tests.conformance.scenarios import SCENARIOS


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("scenario", nargs="*", help="names of scenarios, or how they begin; all by default")
    parser.add_argument("--kubeconfig", help="of a cluster to compare with; it must be one for tests")
    parser.add_argument("--page", action="store_true", help=f"write the known differences into {PAGE.name}")
    asked = parser.parse_args(arguments)
    if asked.page:
        PAGE.write_text(shown(PAGE.read_text(encoding="utf-8"), known_differences()), encoding="utf-8")
        return 0
    chosen = [each for each in SCENARIOS if each.name.startswith(tuple(asked.scenario) or "")]
    try:
        found = anyio.run(_found, chosen, asked.kubeconfig)
    except NotBuilt as error:
        parser.error(str(error))
    known = known_differences()
    unknown = new(found.differences, known)
    _say(*unknown)
    if not asked.scenario:
        _say(
            *(f"no longer different: {each.exchange} {each.path}" for each in gone(found.differences, known))
        )
    groups = Counter(each.name.partition("-")[0] for each in found.played for _ in each.all())
    _say(*(f"{count:4} {name}" for name, count in sorted(groups.items())))
    _say(
        f"{found.exchanges} exchanges in {len(found.played)} scenarios; "
        f"{len(found.differences)} differences, {len(unknown)} of them new"
    )
    return 1 if unknown else 0


async def _found(chosen: list[Scenario], kubeconfig: str | None) -> Comparison:
    async with AsyncExitStack() as stack:
        cluster: Admin
        if kubeconfig:
            cluster = GivenCluster(kubeconfig)
        else:
            cluster = await stack.enter_async_context(RealCluster(find()))
        await cluster.install_crds(json.loads(json.dumps(crds.manifests())))
        return await compare_with(cluster, chosen)


def _say(*lines: object) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
