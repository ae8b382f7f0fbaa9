"""Image classification on the tests' plain pictures."""

from harness.tasks.classification import ImageClassification

make_task = ImageClassification
