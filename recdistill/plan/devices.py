"""Devices of a plan: how many, in how many machines, and at which rates they are assumed to work."""

from __future__ import annotations

from dataclasses import dataclass

from recdistill.errors import UsageError
from recdistill.models.embeddings.planner import RESERVED
from recdistill.plan.plan_settings import DeviceSettings


@dataclass(frozen=True)
class Devices:
    """The ranks' devices, all alike.

    Args:
        kind: "cuda" or "cpu".
        world: ranks, one on each device.
        per_machine: devices that a machine has.
        memory: bytes of each.
        assumed: the names of those arguments below that nobody set.
        flops: operations a second, at their peak.
        memory_bandwidth, link_bandwidth, network_bandwidth: bytes a second, at their peak.
        overhead: seconds of each step.
        flops_share, memory_share, link_share: what of the peaks a step is assumed to reach.
    """

    kind: str
    world: int
    per_machine: int
    memory: int
    assumed: frozenset[str]
    flops: float
    memory_bandwidth: float
    link_bandwidth: float
    network_bandwidth: float
    overhead: float
    flops_share: float
    memory_share: float
    link_share: float

    @property
    def local(self) -> int:
        """Ranks of each machine."""
        return min(self.per_machine, self.world)

    @property
    def machines(self) -> int:
        """How many machines there are."""
        return self.world // self.local

    @property
    def for_tables(self) -> int:
        """Bytes of each that the planner may give to tables."""
        return int((1 - RESERVED) * self.memory)

    @property
    def name(self) -> str:
        """What one of them is called."""
        return "GPU" if self.kind == "cuda" else "CPU rank"


# Peaks of NVIDIA's data sheet of the H100 SXM: float32 without tensor cores, as torch multiplies by default, and
# bfloat16 with them; NVLink in one direction; 400 Gb/s of network for each GPU. The overhead is a guess.
H100 = {
    "memory": 80e9,
    "flops": 67e12,
    "memory_bandwidth": 3.35e12,
    "link_bandwidth": 450e9,
    "network_bandwidth": 50e9,
    "overhead": 5e-3,
    "per_machine": 8,
}
BFLOAT16 = 989e12
# Guesses: a rank with about 16 cores of a server, which exchanges with others through memory.
CPU = {
    "memory": 64e9,
    "flops": 1e12,
    "memory_bandwidth": 100e9,
    "link_bandwidth": 5e9,
    "network_bandwidth": 1.25e9,
    "overhead": 2e-3,
    "per_machine": 8,
}


def devices_of(gpus: int, ranks: int, settings: DeviceSettings, *, precision: str) -> Devices:
    """The devices of a plan.

    Args:
        gpus: how many; 0 for ranks on CPUs.
        ranks: how many of those.
        settings: what is known of them.
        precision: of matrix products, as in `FitSettings`.

    Raises:
        UsageError: there are none, or they do not fill their machines.
    """
    if gpus and ranks:
        raise UsageError(f"a rank is on a GPU or on CPUs, got {gpus} GPUs and {ranks} CPU ranks")
    world = gpus or ranks
    if world < 1:
        raise UsageError("a plan is for at least one GPU, or with --gpus 0 for --ranks of at least 1")
    usual = dict(H100 if gpus else CPU)
    if gpus and precision == "bfloat16":
        usual["flops"] = BFLOAT16
    told = settings.model_dump()
    known = {name: usual[name] if told[name] is None else told[name] for name in usual}
    each = int(known["per_machine"])
    if world > each and world % each:
        raise UsageError(f"all machines have as many ranks, got {world} ranks and device.per_machine={each}")
    return Devices(
        kind="cuda" if gpus else "cpu",
        world=world,
        per_machine=each,
        memory=int(known["memory"]),
        assumed=frozenset(name for name in usual if told[name] is None),
        flops=known["flops"],
        memory_bandwidth=known["memory_bandwidth"],
        link_bandwidth=known["link_bandwidth"],
        network_bandwidth=known["network_bandwidth"],
        overhead=known["overhead"],
        flops_share=settings.flops_share,
        memory_share=settings.memory_share,
        link_share=settings.link_share,
    )
