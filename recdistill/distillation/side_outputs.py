"""A student that says more than its logits while it is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.models import hidden_width, with_hidden
from recdistill.streams import seed as seed_of


class SideOutputs(nn.Module):
    """A student with outputs on its last hidden layer, which only an objective sees.

    In training mode it gives the logits and, as further columns, what the outputs make of the hidden layer; in
    evaluation mode the student's logits alone. The student's own weights are never touched but by training.

    Args:
        student: a network with a hidden layer.
        classes: its logits per row.
        side: whether there is a side head, as many logits as the student's.
        adapter: whether there are an adapter's coefficients; they start at 0, and teach the hidden layer nothing.
        hint: width of the teacher's hidden state, where the student's is compared with it; a linear layer stands
            between layers of two widths, and none where they are alike or the loss takes any; 0 for no hint.
        seed: of the outputs' weights.

    Raises:
        UsageError: the student has no hidden layer.
    """

    def __init__(
        self,
        student: nn.Module,
        *,
        classes: int,
        side: bool = False,
        adapter: bool = False,
        hint: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        width = hidden_width(student)
        self.student = student
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(seed, "side outputs"))
            outputs: dict[str, nn.Module] = {"side": nn.Linear(width, classes)} if side else {}
            if adapter:
                outputs["adapter"] = nn.Linear(width, 1 + classes)
                for weights in outputs["adapter"].parameters():
                    nn.init.zeros_(weights)
            if hint:
                outputs["hidden"] = nn.Identity() if hint == width else nn.Linear(width, hint)
        self.outputs = nn.ModuleDict(outputs)
        sizes = {"served": classes, "side": classes, "adapter": 1 + classes, "hidden": hint}
        self.widths = tuple((name, sizes[name]) for name in ("served", *outputs))

    def forward(self, batch: Batch) -> Tensor:
        """(batch, columns) in training mode, `widths` wide; else (batch,) or (batch, classes) logits."""
        if not self.training:
            logits: Tensor = self.student(batch)
            return logits
        logits, hidden = with_hidden(self.student, batch)
        columns = [logits.view(len(hidden), -1)]
        for name, output in self.outputs.items():
            columns.append(output(hidden.detach() if name == "adapter" else hidden))
        return torch.cat(columns, 1)
