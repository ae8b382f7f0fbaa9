#!/usr/bin/env python3
# Stand-in; see tests/standins/README.md. Its modules are beside it, wherever it is installed.
import os
import sys

here = os.path.dirname(os.path.realpath(__file__))
for base in (here, os.path.dirname(here)):
    for folder in ("lib", "python/site-packages", "python", "../core"):
        if os.path.isdir(os.path.join(base, folder)):
            sys.path.append(os.path.join(base, folder))

from assay_standin.ais_bench_tool import main  # noqa: E402 - the path comes first

sys.exit(main(sys.argv[1:], "0.0.1"))
