"""Recommendation: counts and categories of an advertisement → the probability of a click; scored by the AUC."""

import numpy as np
from case import auc
from harness.errors import StageFailure
from harness.task import Task

#: An item is its counts and its rows of the tables, so many numbers.
STORED = np.dtype("<i4")
COUNTS, TABLES = 13, 26
#: Two probabilities that differ by less are the same prediction.
SAME = 0.01


class Recommendation(Task):
    """13 counts and 26 rows, int32 → float32 [13] and int64 [26]; a probability per sample."""

    def prepare(self, payload):
        """A sample's arrays: log(count + 1), and the rows."""
        arrays = {"dense": np.empty(COUNTS, np.float32), "sparse": np.empty(TABLES, np.int64)}
        self.prepare_into(payload, arrays)
        return arrays

    def prepare_into(self, payload, rows):
        """The same, written into their places in the batch: a batch has thousands of samples."""
        numbers = np.frombuffer(payload, STORED)
        if len(numbers) != COUNTS + TABLES:
            message = "a sample has {} numbers, not {}".format(len(numbers), COUNTS + TABLES)
            raise StageFailure("data", message, "DATA=<train.txt>, or DATA=synthetic")
        dense = rows["dense"]
        dense[...] = numbers[:COUNTS]
        dense += 1
        np.log(dense, out=dense)
        rows["sparse"][...] = numbers[COUNTS:]

    def decode(self, outputs):
        """The probability of a click: float32 [B]."""
        return {"probabilities": outputs["probability"].reshape(-1).astype(np.float32)}

    def score(self, predictions, labels):
        """AUC in percent, as MLPerf defines it, and the challenge's own log loss in nats.

        A label is 1 for a click, else 0. Raises StageFailure (data) if there are not both.
        """
        clicked = np.asarray(labels) == 1
        probabilities = predictions["probabilities"].astype(np.float64)
        area = auc.area_under_roc(clicked, probabilities)
        if area is None:
            message = "the first {} samples have one label only, so there is no AUC".format(
                len(clicked)
            )
            raise StageFailure("data", message, "use more samples: LIMIT=1024, or no LIMIT")
        return {"auc": 100.0 * area, "log_loss": auc.log_loss(clicked, probabilities)}

    def agree(self, predictions, golden):
        """Against fp32: the pairs of samples in the same order, in percent; divergence from its probabilities.

        Of labels 1 and 0, the AUC is the share of such pairs, too.
        """
        ours, theirs = (
            arrays["probabilities"].astype(np.float64) for arrays in (predictions, golden)
        )
        apart = auc.log_loss(theirs, ours) - auc.log_loss(theirs, theirs)
        return {"auc": 100.0 * auc.same_order(ours, theirs), "log_loss": apart}

    def same(self, predictions, others):
        """Whether probabilities differ by at most SAME: bool [items]."""
        return np.abs(predictions["probabilities"] - others["probabilities"]) <= SAME


make_task = Recommendation
