"""The first code of the engine's process: it gives up what vendor code must not have, then serves.

Called as ``python3 -m harness.boundary.enter <settings>`` by harness.boundary.process.
"""

import json
import os
import signal
import sys

from harness import garbage, model_search
from harness.boundary import kernel, sandbox


def main(text: str) -> None:
    """Restrict this process, then serve the engine until the harness closes it."""
    settings = json.loads(text)
    garbage.search_rarely()
    model_search.search_once()
    # The harness ends us; if something kills it, the kernel does.
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != settings["parent"]:
        return
    # The harness hears these signals too, and closes the engine. Tools that an engine starts are not concerned.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    sys.path.insert(0, settings["folder"])
    visible = [sys.prefix, sys.base_prefix, *sys.path, *settings["visible"]]
    settings["landlock"] = sandbox.restrict(settings["hidden"], visible, settings["writable"])
    from harness.boundary.server import serve

    serve(settings)


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a runtime that crashes during interpreter shutdown must not end a stage that is over.
    os._exit(0)
