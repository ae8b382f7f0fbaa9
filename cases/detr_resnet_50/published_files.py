"""COCO's files as people have them: a folder, the published .zip files in a folder, or one .tar or .zip."""

import contextlib
import tarfile
import zipfile

from harness.errors import StageFailure, one_line

ARCHIVES = ("annotations_trainval2017.zip", "val2017.zip")


@contextlib.contextmanager
def published_files(source, remedy):
    """Yield the Files below ``source``. Raises StageFailure (data, with ``remedy``) for an unreadable archive."""
    folder = source if source.is_dir() else None
    # The source itself has another name in the guest.
    paths = {"the file": source} if folder is None else _archives_in(folder)
    with contextlib.ExitStack() as stack:
        archives = [_archive(name, paths[name], stack, remedy) for name in sorted(paths)]
        yield Files(folder, archives, remedy)


def _archives_in(folder):
    """Those that `files` of case.toml lists: COCO's folder may hold its training pictures, too."""
    found = [folder / name for name in ARCHIVES]
    return {path.name: path for path in found if path.is_file()}


class Files:
    """Files by their path in COCO's layout (``val2017/000000000139.jpg``), from a folder or from archives."""

    def __init__(self, folder, archives, remedy):
        self._folder = folder
        self._archives = archives
        self._remedy = remedy

    def has(self, name):
        """Whether there is such a file."""
        if self._folder is not None and (self._folder / name).is_file():
            return True
        return any(name in archive.members for archive in self._archives)

    def read(self, name):
        """The bytes of a file. Raises StageFailure (data) if it is missing or cannot be read."""
        if not self.has(name):
            raise StageFailure("data", "it has no {}".format(name), self._remedy)
        try:
            for archive in self._archives:
                if name in archive.members:
                    return archive.read(archive.members[name])
            return (self._folder / name).read_bytes()
        except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
            message = "{} cannot be read (cut short?): {}".format(name, one_line(error))
            raise StageFailure("data", message, self._remedy) from error


class _Archive:
    """``members``: path in COCO's layout → member; folders around the layout are left out of the path."""

    def __init__(self, members, read):
        self.members = members
        self.read = read


def _archive(name, path, stack, remedy):
    try:
        if zipfile.is_zipfile(str(path)):
            opened = stack.enter_context(zipfile.ZipFile(str(path)))
            names = {info.filename: info for info in opened.infolist() if not info.is_dir()}
            return _Archive(_in_layout(names), opened.read)
        # Not a compressed one, whose members can only be read in its own order.
        opened = stack.enter_context(tarfile.open(str(path), "r:"))  # noqa: SIM115
        names = {member.name: member for member in opened.getmembers() if member.isfile()}
        return _Archive(_in_layout(names), lambda member: opened.extractfile(member).read())
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
        message = "{} is no .zip and no uncompressed .tar, or it is cut short: {}".format(
            name, one_line(error)
        )
        raise StageFailure("data", message, remedy) from error


def _in_layout(names):
    return {"/".join(name.split("/")[-2:]): member for name, member in names.items()}
