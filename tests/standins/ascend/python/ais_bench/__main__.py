"""``python3 -m ais_bench``, since 0.0.2."""

import sys

from assay_standin.ais_bench_tool import main

sys.exit(main(sys.argv[1:], "0.0.2"))
