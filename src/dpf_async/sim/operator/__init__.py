"""The simulated DPF operator: controllers that behave like those of DPF v26.4 and access the cluster only by HTTP.

    runtime/       caches, queues, writes, conditions, names
    hardware/      simulated BMCs, images, agents, Nodes and pods; durations (profiles) and troubles
    deployment/    the objects of a DPUDeployment, and the rollout of a DPUSet; pure
    provisioning/  the state machine of a DPU, node effects, reboots, discovery; pure
    controllers/   read the caches, compute a decision with the pure functions, write it
    operator.py    Operator: clients, caches and queues
    process/       OperatorProcess: the same as a separate process

It does not use the embedded API server and runs against any API server with DPF's CRDs. Not simulated: installation by
host agent, hosts that are Kubernetes nodes, Kubernetes Events, the Jobs of scripts and custom actions, and everything
inside a DPU.
"""

from dpf_async.sim.operator.hardware.profiles import DEMO, INSTANT, PROFILES, REALISTIC, Profile
from dpf_async.sim.operator.hardware.troubles import Trouble, Troubles
from dpf_async.sim.operator.operator import Operator
from dpf_async.sim.operator.process.process import OperatorEnded, OperatorProcess

__all__ = [
    "DEMO",
    "INSTANT",
    "PROFILES",
    "REALISTIC",
    "Operator",
    "OperatorEnded",
    "OperatorProcess",
    "Profile",
    "Trouble",
    "Troubles",
]
