"""Where CANN's operator compiler puts its files: it would use the current folder, which is read-only."""

import os

#: Environment variables of CANN (its document of environment variables): files of this process, and files that
#: processes share, such as compiled operators.
WORK, SHARED = "ASCEND_WORK_PATH", "ASCEND_CACHE_PATH"


def set_work_folders(job):
    """Name both folders, unless they are named already; to be called before CANN is loaded."""
    for variable, folder in ((WORK, job.out_dir / "cann"), (SHARED, job.cache_dir / "cann")):
        if variable not in os.environ:
            folder.mkdir(parents=True, exist_ok=True)
            os.environ[variable] = str(folder)
