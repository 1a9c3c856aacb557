"""The official client. Argument: a kubeconfig. Prints the name it listed and the events it saw."""

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
    news = [event["type"], event["object"]["metadata"].get("labels", {}).get("by")]
    if news[0] == "MODIFIED" and (news[1] is None or news in seen):
        continue  # the operator's doing
    seen.append(news)
    if event["type"] == "ADDED":
        api.patch_namespaced_custom_object(*DPUS, name, {"metadata": {"labels": {"by": "them"}}})
    elif event["type"] == "MODIFIED":
        api.delete_namespaced_custom_object(*DPUS, name)
    else:
        break
sys.stdout.write(json.dumps([name, seen]))
