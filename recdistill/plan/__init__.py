"""Plan before you pay: how large a model is, which rank would hold what, what is sent, how long a step may take.

Nothing is allocated, so tables of a billion rows are planned on a laptop. Which rank holds what is torchrec's own
planner's decision, the same that training makes; times are estimates from rates that are assumed.
"""

from __future__ import annotations

from dataclasses import replace

from recdistill.errors import EnvironmentFault, UsageError
from recdistill.plan.amounts import in_bytes
from recdistill.plan.devices import Devices, devices_of
from recdistill.plan.plan_settings import DeviceSettings, FeatureSizes, PlanSettings
from recdistill.plan.planning import Plan, filled, shards_for, sized
from recdistill.plan.refusal import does_not_fit
from recdistill.plan.told import told


def plan(settings: PlanSettings, features: FeatureSizes, devices: Devices) -> Plan:
    """Plan a model's training.

    Args:
        settings: the model, and how it is trained.
        features: their sizes.
        devices: one for each rank.

    Returns:
        The plan. Where the ranks cannot train it so, `refusal` says why, and the sizes are there alone.

    Raises:
        UsageError: there is no such model, or ranks cannot share a step's rows or hold rows of such a length.
    """
    found = sized(settings, features, devices)
    try:
        shards = shards_for(found)
    except EnvironmentFault as error:
        return replace(found, unplanned=f"which rank holds what is for torchrec to say: {error}")
    except UsageError as error:
        own = "; ranks train with fit.embedding_optimiser=rowwise_adagrad, adagrad or sgd"
        return replace(found, refusal=f"{error}{own if settings.fit.embedding_optimiser == 'dense' else ''}")
    if shards is None:
        return replace(found, refusal=does_not_fit(found))
    found = replace(found, **filled(found, shards))
    fullest = max(range(len(found.uses)), key=lambda rank: found.uses[rank].total)
    if (used := found.uses[fullest].total) > devices.memory:
        rule = f"rank {fullest} needs {in_bytes(used)} with all that is not tables, and has {in_bytes(devices.memory)}"
        return replace(found, refusal=f"{rule}; take fewer rows a step (--batch-size) or larger devices")
    return found


__all__ = ["DeviceSettings", "Devices", "FeatureSizes", "Plan", "PlanSettings", "devices_of", "plan", "told"]
