"""Stand-in of cuda-python; see tests/standins/README.md."""

__assay_standin__ = True
