"""`python -m assay <verb>`."""

from __future__ import annotations

import sys

from assay import main

if __name__ == "__main__":
    sys.exit(main())
