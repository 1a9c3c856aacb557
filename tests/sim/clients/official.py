"""The official client. Argument: a kubeconfig. Prints the name it listed and the events it received."""

from __future__ import annotations

import json
import sys
from typing import Any

from kubernetes import client, config, watch

DPUS = ("provisioning.dpu.nvidia.com", "v1alpha1", "dpf-operator-system", "dpus")

config.load_kube_config(sys.argv[1])  # type: ignore[no-untyped-call]
api: Any = client.CustomObjectsApi()
(listed,) = api.list_namespaced_custom_object(*DPUS)["items"]
name = listed["metadata"]["name"]
seen: list[list[Any]] = []
stream: Any = watch.Watch()  # type: ignore[no-untyped-call]
for event in stream.stream(api.list_namespaced_custom_object, *DPUS):
    event_type = [event["type"], event["object"]["metadata"].get("labels", {}).get("by")]
    if event_type[0] == "MODIFIED" and (event_type[1] is None or event_type in seen):
        continue  # written by the operator
    seen.append(event_type)
    if event["type"] == "ADDED":
        api.patch_namespaced_custom_object(*DPUS, name, {"metadata": {"labels": {"by": "them"}}})
    elif event["type"] == "MODIFIED":
        api.delete_namespaced_custom_object(*DPUS, name)
    else:
        break
sys.stdout.write(json.dumps([name, seen]))
