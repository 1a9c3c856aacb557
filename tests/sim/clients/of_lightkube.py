"""lightkube. Argument: a kubeconfig. Prints the name it listed and the events it received."""

from __future__ import annotations

import json
import sys

from lightkube import Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

DPU = create_namespaced_resource("provisioning.dpu.nvidia.com", "v1alpha1", "DPU", "dpus")

client = Client(KubeConfig.from_file(sys.argv[1]), namespace="dpf-operator-system")
(listed,) = client.list(DPU)
name = listed.metadata.name
seen = []
for kind, obj in client.watch(DPU):
    event_type = [kind, (obj.metadata.labels or {}).get("by")]
    if kind == "MODIFIED" and (event_type[1] is None or event_type in seen):
        continue  # written by the operator
    seen.append(event_type)
    if kind == "ADDED":
        client.patch(DPU, name, {"metadata": {"labels": {"by": "them"}}}, patch_type=PatchType.MERGE)
    elif kind == "MODIFIED":
        client.delete(DPU, name)
    else:
        break
sys.stdout.write(json.dumps([name, seen]))
