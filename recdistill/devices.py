"""Where a network computes."""

from __future__ import annotations

import torch

from recdistill.errors import EnvironmentFault, UsageError


def require_device_name(name: str) -> None:
    """Refuse what torch knows no device by; whether it is on this machine is another question.

    Raises:
        UsageError: names what there is.
    """
    try:
        torch.device("cpu" if name == "auto" else name)
    except RuntimeError:
        raise UsageError(f"a device is 'auto', 'cpu', 'cuda' or 'cuda:1' and so on, got {name!r}") from None


def device_of(name: str) -> str:
    """The device of a setting: "auto" takes a GPU where there is one.

    Raises:
        UsageError: torch knows no such device.
        EnvironmentFault: it is not there.
    """
    require_device_name(name)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EnvironmentFault(f"device {name!r} needs a GPU that torch {torch.__version__} can use, got none")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
