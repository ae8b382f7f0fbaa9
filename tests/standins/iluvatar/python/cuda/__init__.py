"""Stand-in of CoreX's cuda-python; see tests/standins/README.md."""

__assay_standin__ = True
