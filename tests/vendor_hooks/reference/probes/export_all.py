"""Run the export stage of several job folders of one case in one process; print the exit statuses."""

import json
import sys

sys.path.insert(0, sys.argv[1])

from harness.__main__ import main

print(json.dumps([main(["export", folder]) for folder in sys.argv[1:]]))  # noqa: T201
