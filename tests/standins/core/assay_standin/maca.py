"""MetaX's ONNX Runtime: the real one, with a MACAExecutionProvider that runs on the CPU."""

import json

from assay_standin import faults

PROVIDER = "MACAExecutionProvider"
EVERY = "*"


class MacaSession:
    """Goes before ONNX Runtime's own InferenceSession: says it is on MACA where it was asked for."""

    available = staticmethod(list)
    #: Operators that MACA has no kernel for, so that their nodes run on the CPU; EVERY leaves it none.
    host_operators = ()
    _maca = False

    def __init__(
        self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs
    ):
        asked = [p if isinstance(p, str) else p[0] for p in providers or ["CPUExecutionProvider"]]
        unknown = [name for name in asked if name not in self.available()]
        if unknown:
            raise ValueError("{} is not in available providers".format(unknown[0]))
        self._maca = PROVIDER in asked
        if self._maca:
            given = [dict(p[1]) for p in providers if not isinstance(p, str)]
            _open(given + list(provider_options or []))
        super().__init__(path_or_bytes, sess_options, providers=["CPUExecutionProvider"], **kwargs)

    def get_providers(self):
        """MACA first, as the real one has it."""
        return [PROVIDER, "CPUExecutionProvider"] if self._maca else super().get_providers()

    def run(self, output_names, input_feed, run_options=None):
        """Run one batch."""
        if self._maca:
            faults.strike("infer")
        outputs = super().run(output_names, input_feed, run_options)
        return faults.spoil(outputs) if self._maca else outputs

    def end_profiling(self):
        """Return ONNX Runtime's profile of what ran, with the nodes that MACA ran attributed to it."""
        path = super().end_profiling()
        if self._maca:
            _book(path, self.host_operators)
        return path

    def run_with_iobinding(self, iobinding, run_options=None):
        """Run on bound buffers; only faults that need no output are there."""
        if self._maca:
            faults.strike("infer")
        return super().run_with_iobinding(iobinding, run_options)


def _open(options):
    for each in options:
        if str(each.get("device_id", "0")) != "0":
            raise RuntimeError("MACA failure 101: mcErrorInvalidDevice ; invalid device ordinal")
    if "oom" in faults.strike("load"):
        raise RuntimeError("MACA failure 2: mcErrorMemoryAllocation ; out of memory")


def _book(path, host_operators):
    """Write MACA's name over the CPU's; only a node's own event has a provider, as in ONNX Runtime."""
    with open(path) as file:
        events = json.load(file)
    for event in events:
        args = event.get("args", {})
        if "provider" in args and not {EVERY, args["op_name"]} & set(host_operators):
            args["provider"] = PROVIDER
    with open(path, "w") as file:
        json.dump(events, file)


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    if getattr(onnxruntime, "__assay_standin__", False):
        return
    real_providers = onnxruntime.get_available_providers

    def available():
        return [PROVIDER] + real_providers()

    bases = (MacaSession, onnxruntime.InferenceSession)
    own = {"available": staticmethod(available)}
    onnxruntime.InferenceSession = type("InferenceSession", bases, own)
    onnxruntime.get_available_providers = available
    onnxruntime.get_device = lambda: "GPU"
    onnxruntime.__assay_standin__ = True
