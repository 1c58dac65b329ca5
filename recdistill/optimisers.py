"""Optimisers of embedding tables: only the rows that a batch looked up are updated.

An optimiser such as Adam moves every row of every table at each step, also rows that no batch asked for; with millions
of rows that is nearly all of the time. These read a gradient that holds the batch's rows, and cost what a batch costs.
Each is written out for a row w with gradient g (the sum over the row's lookups) and learning rate η:

- `sgd`: w ← w − η g.
- `adagrad` (Duchi et al. 2011): s ← s + g², w ← w − η g / (√s + ε), element by element.
- `rowwise_adagrad` (as in DLRM's and FBGEMM's embedding kernels): the same with one s per row, s ← s + mean(g²).
- `lazy_adam` (Kingma & Ba 2015 on the rows of the batch alone, as torch's `SparseAdam`): m and v of a row are as old as
  its last lookup; the bias correction counts all steps.

With a weight decay λ a row that was last looked up k steps ago (k steps after the first) shrinks before it is updated:
w ← w (1 − min(1, η λ k / d)), where d is what its gradient is divided by, 1 for `sgd`. That makes up at once for the
steps in between, in which an optimiser of whole tables would have decayed the row too; rare rows need it most. The
decay is no part of s, m and v.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

State = dict[str, Any]
EPSILON = 1e-8
BETAS = (0.9, 0.999)
TRACE = 1e-30  # a weight that adds nothing to a float32 sum, and stays far above where processors are slow


def _sgd(rows: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, Tensor]:
    return gradient, gradient.new_ones(())


def _adagrad(rows: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, Tensor]:
    total = _moved(state["sum"], rows, lambda s: s.addcmul_(gradient, gradient))
    return gradient, total.sqrt_().add_(EPSILON)


def _rowwise_adagrad(rows: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, Tensor]:
    total = _moved(state["sum"], rows, lambda s: s.add_(gradient.square().mean(1)))
    return gradient, total.sqrt_().add_(EPSILON)[:, None]


def _lazy_adam(rows: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, Tensor]:
    state["step"] += 1
    count, (first, second) = float(state["step"]), BETAS
    mean = _moved(state["exp_avg"], rows, lambda m: m.lerp_(gradient, 1 - first))
    square = _moved(state["exp_avg_sq"], rows, lambda v: v.mul_(second).addcmul_(gradient, gradient, value=1 - second))
    return mean.div_(1 - first**count), square.sqrt_().div_((1 - second**count) ** 0.5).add_(EPSILON)


def _moved(whole: Tensor, rows: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """A copy of some rows after a change, which `whole` gets too."""
    part = change(whole.index_select(0, rows))
    whole.index_copy_(0, rows, part)
    return part


Direction = Callable[[Tensor, Tensor, State], tuple[Tensor, Tensor]]  # the gradient or its mean, and its divisor
# What an optimiser keeps, by name: one number per row, per element, or in all.
KINDS: dict[str, tuple[Direction, dict[str, str]]] = {
    "sgd": (_sgd, {}),
    "adagrad": (_adagrad, {"sum": "element"}),
    "rowwise_adagrad": (_rowwise_adagrad, {"sum": "row"}),
    "lazy_adam": (_lazy_adam, {"exp_avg": "element", "exp_avg_sq": "element", "step": "all"}),
}
DECAYING = {"steps": "all", "last": "row"}  # kept with a weight decay: steps so far, and the one of a row's last lookup


class RowOptimiser(torch.optim.Optimizer):
    """Updates the rows of tables that their sparse gradients name.

    Args:
        tables: (rows, dim) parameters.
        kind: a key of `KINDS`.
        lr: learning rate.
        weight_decay: λ above.

    Raises:
        ValueError: the kind is not known.
    """

    def __init__(self, tables: Iterable[Tensor], *, kind: str, lr: float, weight_decay: float = 0.0) -> None:
        if kind not in KINDS:
            raise ValueError(f"an optimiser of tables is one of {', '.join(KINDS)}, got {kind!r}")
        super().__init__(tables, {"lr": lr, "weight_decay": weight_decay})
        self.kind = kind

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the rows of each table's gradient."""
        direction, _ = KINDS[self.kind]
        for group in self.param_groups:
            for table in (t for t in group["params"] if t.grad is not None):
                rows, values = _distinct(table.grad)
                state = self.state[table] or self._begun(table, group["weight_decay"] > 0)
                gradient, divisor = direction(rows, values, state)
                weights = table.index_select(0, rows)
                if group["weight_decay"]:
                    decay = group["lr"] * group["weight_decay"] * _since(rows, state)[:, None]
                    weights.mul_(1 - (decay / divisor).clamp_(max=1))
                table.index_copy_(0, rows, weights.addcdiv_(gradient, divisor, value=-group["lr"]))

    def _begun(self, table: Tensor, decaying: bool) -> State:
        """The state of a table at its first step."""
        shapes = {"row": table.shape[:1], "element": table.shape}
        for name, of in (KINDS[self.kind][1] | (DECAYING if decaying else {})).items():
            self.state[table][name] = torch.zeros(()) if of == "all" else table.new_zeros(shapes[of])
        return self.state[table]


def _since(rows: Tensor, state: State) -> Tensor:
    """(rows,) how many steps ago each was looked up last; now they are looked up."""
    state["steps"] += 1
    since = float(state["steps"]) - state["last"].index_select(0, rows)
    state["last"].index_fill_(0, rows, float(state["steps"]))
    return since


def _distinct(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of a sparse gradient, each once, and their values; autograd forgets that it was coalesced."""
    rows = gradient._indices()[0]
    if bool((rows[1:] > rows[:-1]).all()):
        return rows, gradient._values()
    gradient = gradient.coalesce()
    return gradient.indices()[0], gradient.values()


class HeldRows:
    """Puts some rows of a table back after every step, whatever moved them: a gradient, momentum or decay.

    A part of `Optimisers`, after the one that moves the table.

    Args:
        table: (rows, dim) parameter.
        held: (rows,) bool, which rows stay as they are.
    """

    def __init__(self, table: Tensor, held: Tensor) -> None:
        self.param_groups: list[dict[str, Any]] = []
        self.table, self.held, self.kept = table, held, table.detach().clone()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing: the table's gradient is another part's."""

    @torch.no_grad()
    def step(self) -> None:
        """The held rows as they were; of a sparse gradient only its rows have moved."""
        gradient = self.table.grad
        if gradient is not None and gradient.is_sparse:
            moved = gradient._indices()[0]
            rows = moved[self.held[moved]]
        else:
            rows = self.held.nonzero()[:, 0]
        self.table.index_copy_(0, rows, self.kept.index_select(0, rows))

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the rows are the network's."""
        return {"state": {}}

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Nothing."""


class Part(Protocol):
    """An optimiser of some parameters."""

    param_groups: list[dict[str, Any]]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""

    def step(self) -> Any:
        """Update the parameters."""

    def state_dict(self) -> dict[str, Any]:
        """What it keeps, by the number of the parameter."""

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """The reverse of `state_dict`."""


class Optimisers:
    """Several optimisers of different parameters, stepped and stored as one.

    Args:
        parts: none of which has a parameter of another.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts: list[Part] = list(parts)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        """A step of each."""
        for part in self.parts:
            part.step()

    @torch.no_grad()
    def drop_traces(self) -> None:
        """Set to 0 what is below `TRACE`, in the weights that every step changes and in what is kept of them.

        Decay and dead units shrink numbers for ever, and a processor multiplies float32's last ones, below 1.2e-38, far
        slower than others. Rows of tables that are updated one by one are left alone.
        """
        for part in (p for p in self.parts if isinstance(p, torch.optim.Optimizer) and not isinstance(p, RowOptimiser)):
            weights = [weight for group in part.param_groups for weight in group["params"]]
            kept = [t for state in part.state.values() for t in state.values() if isinstance(t, Tensor) and t.dim()]
            for tensor in (*weights, *kept):
                tensor.masked_fill_(tensor.abs() < TRACE, 0.0)

    def state_dict(self) -> dict[str, dict[int, Any]]:
        """The state of every parameter, numbered through."""
        found = [part.state_dict()["state"] for part in self.parts]
        return {
            "state": {
                first + n: kept for first, one in zip(self._firsts, found, strict=False) for n, kept in one.items()
            }
        }

    def load_state_dict(self, stored: dict[str, dict[int, Any]]) -> None:
        """The reverse of `state_dict`."""
        for part, (first, end) in zip(self.parts, itertools.pairwise(self._firsts), strict=True):
            own = {n - first: kept for n, kept in stored["state"].items() if first <= n < end}
            part.load_state_dict({**part.state_dict(), "state": own})

    @property
    def _firsts(self) -> list[int]:
        """The number of each one's first parameter, and the number after the last."""
        sizes = (sum(len(group["params"]) for group in part.param_groups) for part in self.parts)
        return [0, *itertools.accumulate(sizes)]
