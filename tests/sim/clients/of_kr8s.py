"""kr8s. Argument: a kubeconfig. Prints the name it listed and the events it received."""

from __future__ import annotations

import asyncio
import json
import sys

import kr8s.asyncio
from kr8s.asyncio.objects import new_class

DPU = new_class("DPU", version="provisioning.dpu.nvidia.com/v1alpha1", namespaced=True, plural="dpus")


async def main() -> None:
    api = await kr8s.asyncio.api(kubeconfig=sys.argv[1])
    (dpu,) = [one async for one in api.get(DPU, namespace="dpf-operator-system")]
    seen = []
    async for kind, obj in api.watch(DPU, namespace="dpf-operator-system"):
        event_type = [kind, obj.labels.get("by")]
        if kind == "MODIFIED" and (event_type[1] is None or event_type in seen):
            continue  # written by the operator
        seen.append(event_type)
        if kind == "ADDED":
            await dpu.patch({"metadata": {"labels": {"by": "them"}}})
        elif kind == "MODIFIED":
            await dpu.delete()
        else:
            break
    sys.stdout.write(json.dumps([dpu.name, seen]))


asyncio.run(main())
