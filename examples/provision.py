"""The shortest useful program: register one host and provision it."""

import asyncio

from dpf_async import DeviceSpec, DPFClient, HostSpec, provision

HOST = HostSpec(
    name="node-02-00-00-00-0a-09",
    labels={"feature.node.kubernetes.io/dpu-enabled": "true", "carbide.nvidia.com/group": "compute"},
    devices=[
        DeviceSpec(name="device-02-00-00-00-0b-09", serial_number="MT2500XZ0009", bmc_ip="10.0.0.19"),
    ],
)


async def drain(node: str) -> None:
    print(f"{node}: drained")  # move your tenants here


async def power_cycle(node: str) -> None:
    print(f"{node}: power cycled")  # call your BMC here


async def main() -> None:
    async with DPFClient() as dpf:
        view = await provision(dpf, HOST, node_effect=drain, reboot=power_cycle, timeout=2 * 3600)
        for dpu in view.dpus:
            print(f"{dpu.name}: {dpu.phase}")


asyncio.run(main())
