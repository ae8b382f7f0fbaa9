"""Runs scripted hooks as forks of this process: it has imported what they import, and has compiled them.

Standard input has a request a line, {"argv", "environment", "cwd", "log"}; when a hook has ended, its exit status is a
line of standard output.
"""

from __future__ import annotations

import json
import os
import sys
import time  # noqa: F401  # a hook's
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType


def run(request: dict[str, Any], code: CodeType) -> int:
    """Run the hook in this process; return its exit status."""
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, descriptor in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(descriptor, number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["argv"]
    try:
        exec(code, {"__name__": "__main__", "__file__": sys.argv[0]})
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Fork for each request."""
    compiled: dict[str, CodeType] = {}
    for line in sys.stdin:
        request = json.loads(line)
        text = Path(request["argv"][0]).read_text(encoding="utf-8")
        if text not in compiled:
            compiled[text] = compile(text, request["argv"][0], "exec", dont_inherit=True)
        child = os.fork()
        if child == 0:
            status = run(request, compiled[text])
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
