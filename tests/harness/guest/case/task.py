"""The tests' case: small pictures; the class is the brightest channel."""

from harness.classification import ImageClassification
from harness.errors import StageFailure


class Colours(ImageClassification):
    """ImageClassification, but for pictures named by case_options, which prepare() refuses, and
    ``same_items``, as it is told.
    """

    def __init__(self, job):
        super().__init__(job)
        self.same_items = job.case_options.get("same_items", False)

    def prepare(self, payload):
        if payload == self.job.case_options.get("refuses", "").encode():
            raise StageFailure("data", "refused as the test asked", "do not ask")
        return super().prepare(payload)


make_task = Colours
