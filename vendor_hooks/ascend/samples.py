"""Items as files, since the vendor's tools read nothing else."""

import contextlib
import shutil

import numpy as np


@contextlib.contextmanager
def folder(job):
    """An empty folder for a tool's files, in the cache folder; removed after the measurement."""
    path = job.cache_dir / "tool"
    shutil.rmtree(str(path), ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(str(path), ignore_errors=True)


def write(job, batches, into):
    """Write every item of ``batches`` to a raw file, with one folder per input; return (folders, items).

    Both tools of CANN 5.1 read raw files; there is one per item because the tools make batches themselves.
    """
    folders = []
    for spec in job.inputs:
        target = into / "input-{}".format(len(folders))
        target.mkdir()
        count = 0
        for batch in batches:
            for item in np.split(batch[spec.name], job.batch_size):
                item.tofile(str(target / "{:06d}.bin".format(count)))
                count += 1
        folders.append(target)
    return folders, count
