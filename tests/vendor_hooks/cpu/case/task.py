"""Image classification on the tests' plain pictures."""

from harness.classification import ImageClassification

make_task = ImageClassification
