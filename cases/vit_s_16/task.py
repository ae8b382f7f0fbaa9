"""Image classification with the constants of case.toml; everything is the harness's."""

from harness.classification import ImageClassification

make_task = ImageClassification
