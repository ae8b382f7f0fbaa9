"""Batches that lie in host memory before the core loop begins: real items, preprocessed."""

from harness.loader import Loader, batch_bytes


def held_batches(source, dataset, job):
    """Distinct full batches in host memory for the core loop: real items, the first of the dataset.

    As many as core_batches and core_memory_bytes allow. A dataset smaller than one batch is repeated
    within it: the device computes full batches, and they are what is counted.
    """
    count = len(dataset)
    fitting = job.measure.core_memory_bytes // max(1, batch_bytes(source.layout, job.batch_size))
    batches = max(1, min(job.measure.core_batches, count // job.batch_size, fitting))
    wanted = batches * job.batch_size
    with Loader(_Repeating(source, count), job.batch_size, job.threads) as loader:
        return list(loader.batches(wanted))


class _Repeating:
    """A source without end: position n is item n modulo the dataset's size."""

    def __init__(self, source, count):
        self._source = source
        self._count = count
        self.layout = source.layout

    def fill(self, position, row, buffers):
        self._source.fill(position % self._count, row, buffers)
