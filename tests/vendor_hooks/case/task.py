"""The tests' case: small pictures; the class is the brightest channel."""

from harness.tasks.classification import ImageClassification

make_task = ImageClassification
