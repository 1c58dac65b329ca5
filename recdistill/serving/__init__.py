"""Serving: raw rows in, scores out, with numpy, pyarrow and onnxruntime alone.

    from recdistill.serving import Scorer

    scorer = Scorer.load("student")
    scorer.predict([{"user_id": "u7", "item_id": "i12", "price": 3.5}])

A folder that `recdistill export` wrote holds the network as ONNX and the encoder as JSON and Parquet. The transforms
are those of training: unseen ids and missing values are what they were there.
"""

from recdistill.serving.files import Scored, rows_in, score_file
from recdistill.serving.scorer import Candidates, Scorer

__all__ = ["Candidates", "Scored", "Scorer", "rows_in", "score_file"]
