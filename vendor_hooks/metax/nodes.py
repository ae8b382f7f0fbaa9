"""Which provider each node of a graph ran on, from ONNX Runtime's profile of one run.

A session lists the registered providers, even one that no node runs on.
"""

import collections
import json

from harness.errors import StageFailure

#: Copies that ONNX Runtime puts between providers: they compute nothing.
COPIES = ("MemcpyFromHost", "MemcpyToHost")


def operators(profile):
    """Provider → operators that ran on it, one entry per node; ``profile`` is the text of the profile."""
    found = collections.defaultdict(list)
    for event in json.loads(profile):
        facts = event.get("args", {})
        # A node has several events in 1.12; only the one that times its kernel names a provider.
        if event.get("cat") == "Node" and "provider" in facts and facts["op_name"] not in COPIES:
            found[facts["provider"]].append(facts["op_name"])
    return {provider: sorted(found[provider]) for provider in sorted(found)}


def require(found, provider):
    """Raise StageFailure (compile) if no node of ``found`` (see ``operators``) ran on ``provider``."""
    if provider not in found:
        raise StageFailure(
            "compile",
            "none of the graph's {} nodes ran on {}: {}".format(
                _total(found), provider, _in_words(found) or "its profile names no provider"
            ),
            "make doctor VENDOR=metax checks driver, device nodes and permissions; ENGINE=eager runs "
            "the case in MetaX's PyTorch",
        )


def left_over(found, provider):
    """The warning (code, message, remedy) for nodes that did not run on ``provider``, in a list; else none."""
    others = {name: ran for name, ran in found.items() if name != provider}
    if not others:
        return []
    message = "{} of the graph's {} nodes ran on {}".format(
        _total(others), _total(found), _in_words(others)
    )
    return [
        (
            "effective_differs",
            message,
            "read the row as chip and host together; ENGINE=eager keeps a model on the chip",
        )
    ]


def _total(found):
    return sum(len(ran) for ran in found.values())


def _in_words(found):
    return "; ".join(
        "{} ({})".format(provider, ", ".join(sorted(set(ran)))) for provider, ran in found.items()
    )
