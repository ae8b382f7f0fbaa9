"""The tests' case: small pictures; the class is the brightest channel."""

from harness.errors import StageFailure
from harness.tasks.classification import ImageClassification


class Colours(ImageClassification):
    """ImageClassification, but for pictures named by case_options, which prepare() refuses."""

    def prepare(self, payload):
        if payload == self.job.case_options.get("refuses", "").encode():
            raise StageFailure("data", "refused as the test asked", "do not ask")
        return super().prepare(payload)


make_task = Colours
