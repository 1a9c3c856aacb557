"""The simulated DPF operator: controllers that do what DPF v26.4 does, and see the cluster through HTTP alone.

    Operator   operator.py     clients, pictures and queues put together; `settled`
               process.py      the same as a process of its own, steered as steering.py says
               queue.py        one look per name at a time, later, again after errors
               cluster.py      pictures of all kinds, and writes           cache.py     one picture
    deciding   phases.py       a DPU's road, with installing.py and finishing.py; world.py: what it is decided from
               hold.py · reboot.py · discovery.py · rollout.py · children.py · fitting.py · operational.py · agent.py
    doing      controllers/    read the pictures, have it decided by those pure functions, write
    world      hardware.py     BMCs, images, agents, Nodes, pods           board.py     what can be seen of them
               troubles.py     what goes wrong with them                   profiles.py  how long it takes

It knows nothing of the embedded API server and runs against any that has DPF's CRDs. Not simulated: installing by host
agent, hosts that are Kubernetes nodes, Kubernetes Events, the Jobs of scripts and custom actions, and everything inside
a DPU.
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
