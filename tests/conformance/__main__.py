"""`python -m tests.conformance`: compare the servers and print the differences; the exit code is 1 for a new one.

Starts a kube-apiserver (`make apiserver` builds it), or uses the one of --kubeconfig.
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
from tests.apiserver.admin import Admin, ExternalCluster
from tests.apiserver.build import NotBuilt, find
from tests.apiserver.cluster import RealCluster
from tests.conformance.differences import PAGE, known_differences, missing, new, shown
from tests.conformance.exchanges import Scenario
from tests.conformance.real import compare_with
from tests.conformance.runner import Comparison
from tests.conformance.scenarios import SCENARIOS


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the servers and print the result."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument(
        "scenario", nargs="*", help="names of scenarios, or prefixes of names; all by default"
    )
    parser.add_argument("--kubeconfig", help="of the cluster to compare with, which must be a test cluster")
    parser.add_argument("--page", action="store_true", help=f"write the known differences to {PAGE.name}")
    options = parser.parse_args(arguments)
    if options.page:
        PAGE.write_text(shown(PAGE.read_text(encoding="utf-8"), known_differences()), encoding="utf-8")
        return 0
    chosen = [each for each in SCENARIOS if each.name.startswith(tuple(options.scenario) or "")]
    try:
        found = anyio.run(_compare, chosen, options.kubeconfig)
    except NotBuilt as error:
        parser.error(str(error))
    known = known_differences()
    unknown = new(found.differences, known)
    _print(*unknown)
    if not options.scenario:
        _print(
            *(
                f"no longer different: {each.exchange} {each.path}"
                for each in missing(found.differences, known)
            )
        )
    groups = Counter(each.name.partition("-")[0] for each in found.scenarios for _ in each.all())
    _print(*(f"{count:4} {name}" for name, count in sorted(groups.items())))
    _print(
        f"{found.exchanges} exchanges in {len(found.scenarios)} scenarios; "
        f"{len(found.differences)} differences, {len(unknown)} of them new"
    )
    return 1 if unknown else 0


async def _compare(chosen: list[Scenario], kubeconfig: str | None) -> Comparison:
    async with AsyncExitStack() as stack:
        cluster: Admin
        if kubeconfig:
            cluster = ExternalCluster(kubeconfig)
        else:
            cluster = await stack.enter_async_context(RealCluster(find()))
        await cluster.install_crds(json.loads(json.dumps(crds.manifests())))
        return await compare_with(cluster, chosen)


def _print(*lines: object) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
