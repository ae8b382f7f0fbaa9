"""Image classification by the harness, with the constants of case.toml."""

from harness.tasks.classification import ImageClassification

make_task = ImageClassification
