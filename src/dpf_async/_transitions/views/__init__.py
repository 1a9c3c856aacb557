"""Views: frozen values over object states that the API server returned, and descriptions of them.

Pure. A view holds the states themselves, each with its uid, and never combines two incarnations of an object. Objects
are joined by reference (`spec.dpuNodeName`, `DPUNode.spec.dpus`), never by composing names that a controller generates.
"""

from dpf_async._transitions.views.deployment_view import BFBView, DeploymentView
from dpf_async._transitions.views.descriptions import (
    describe,
    describe_deployment,
    describe_maintenance,
    describe_object,
    unmet,
)
from dpf_async._transitions.views.device_faults import DeviceFault
from dpf_async._transitions.views.dpu_view import BEFORE_INSTALLATION, UNDELETABLE, DPUView, node_of_dpu
from dpf_async._transitions.views.maintenance_view import MaintenanceView, node_of_maintenance
from dpf_async._transitions.views.node_view import NodeView, as_last_read, device_names

__all__ = [
    "BEFORE_INSTALLATION",
    "UNDELETABLE",
    "BFBView",
    "DPUView",
    "DeploymentView",
    "DeviceFault",
    "MaintenanceView",
    "NodeView",
    "as_last_read",
    "describe",
    "describe_deployment",
    "describe_maintenance",
    "describe_object",
    "device_names",
    "node_of_dpu",
    "node_of_maintenance",
    "unmet",
]
