"""`reduced`: a smaller student made of a trained one."""

from __future__ import annotations

from recdistill.compression.low_rank import low_rank
from recdistill.compression.pruning import pruned
from recdistill.compression.settings import Compression
from recdistill.compression.vocabularies import with_frequent_ids
from recdistill.ranker import Ranker
from recdistill.settings import of_kind
from recdistill.tables import Table


def reduced(ranker: Ranker, how: Compression, rows: Table) -> Ranker:
    """A copy with fewer ids, units and ranks, in this order; it is an ordinary ranker, which can go on being trained.

    What `how` says of bits is for `export`. Right after, the copy scores worse than what it was made of; fine-tune it,
    with `distill` where there are soft labels.

    Args:
        ranker: trained, of one of the package's models.
        how: what is kept.
        rows: the training rows, in which ids are counted.

    Raises:
        UsageError: `how` is no compression; or the model has nothing of the kind that would be removed: no hidden layer
            to prune, no matrix that a lower rank makes smaller, no vocabulary to shorten; or it is not one of the
            package's.
    """
    how = of_kind(Compression, how, "how")
    small = with_frequent_ids(ranker, rows, how.min_count) if how.min_count > 1 else ranker.copy()
    network = small.network
    network = pruned(network, small.encoder.spec, how.prune) if how.prune else network
    network = low_rank(network, small.encoder.spec, how.rank) if how.rank < 1 else network
    return Ranker(small.encoder, network)
