"""Imported when the stand-in's Python starts: ODD_XTCL makes it an image without a compiler or a device.

``no-second-copy``: an input may cross to the device, and nothing else may be made of it on the way.
"""

import os

from assay_standin import xtcl


def _no_compiler(self, path, **_):
    raise RuntimeError("Compilation error:\n/bin/sh: 1: g++: not found")


def _refuse(value, device):
    raise RuntimeError(f"the machine made an array of its own for an input: {type(value)}")


if os.environ.get("ODD_XTCL") == "no-compiler":
    xtcl.Library.export_library = _no_compiler
if os.environ.get("ODD_XTCL") == "no-device":
    xtcl.Device.exist = property(lambda self: False, lambda self, value: None)
if os.environ.get("ODD_XTCL") == "no-second-copy":
    xtcl.copied_by_the_machine = _refuse
