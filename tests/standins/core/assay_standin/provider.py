"""ONNX Runtime with a vendor's execution provider that runs on the CPU: what the vendors' imitations share."""

import json

from assay_standin import faults

EVERY = "*"


class ProviderSession:
    """Goes before ONNX Runtime's own InferenceSession: says it is on the provider where it was asked for."""

    #: The provider's name, its own session checks, and whether this session has it.
    provider = ""
    available = staticmethod(list)
    #: Operators that the provider has no kernel for, so that their nodes run on the CPU; EVERY leaves it none.
    host_operators = ()
    _own = False

    def __init__(
        self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs
    ):
        asked = [p if isinstance(p, str) else p[0] for p in providers or ["CPUExecutionProvider"]]
        unknown = [name for name in asked if name not in self.available()]
        if unknown:
            raise ValueError("{} is not in available providers".format(unknown[0]))
        self._own = self.provider in asked
        if self._own:
            given = [dict(p[1]) for p in providers if not isinstance(p, str)]
            self.open_device(path_or_bytes, given + list(provider_options or []))
        super().__init__(path_or_bytes, sess_options, providers=["CPUExecutionProvider"], **kwargs)

    def open_device(self, model, options):
        """Refuse what the real provider refuses; ``options`` is a list of dicts."""

    def computed(self, outputs):
        """Return outputs as the provider's arithmetic leaves them."""
        return outputs

    def get_providers(self):
        """The provider first, as the real one has it."""
        return [self.provider, "CPUExecutionProvider"] if self._own else super().get_providers()

    def run(self, output_names, input_feed, run_options=None):
        """Run one batch."""
        if self._own:
            faults.strike("infer")
        outputs = super().run(output_names, input_feed, run_options)
        return faults.spoil(self.computed(outputs)) if self._own else outputs

    def end_profiling(self):
        """Return ONNX Runtime's profile of what ran, with the nodes that the provider ran attributed to it."""
        path = super().end_profiling()
        if self._own:
            self._book(path)
        return path

    def run_with_iobinding(self, iobinding, run_options=None):
        """Run on bound buffers; only faults that need no output are there."""
        if self._own:
            faults.strike("infer")
        return super().run_with_iobinding(iobinding, run_options)

    def takes(self, operator):
        """Tell whether the provider has a kernel for an operator."""
        return not {EVERY, operator} & set(self.host_operators)

    def _book(self, path):
        """Write the provider's name over the CPU's; only a node's own event has a provider, as in ONNX Runtime."""
        with open(path) as file:
            events = json.load(file)
        for event in events:
            args = event.get("args", {})
            if "provider" in args and self.takes(args["op_name"]):
                args["provider"] = self.provider
        with open(path, "w") as file:
            json.dump(events, file)


def patch(onnxruntime, session):
    """Patch a freshly imported onnxruntime with a class derived from ProviderSession."""
    if getattr(onnxruntime, "__assay_standin__", False):
        return
    real_providers = onnxruntime.get_available_providers

    def available():
        return [session.provider] + real_providers()

    bases = (session, onnxruntime.InferenceSession)
    own = {"available": staticmethod(available)}
    onnxruntime.InferenceSession = type("InferenceSession", bases, own)
    onnxruntime.get_available_providers = available
    onnxruntime.get_device = lambda: "GPU"
    onnxruntime.__assay_standin__ = True
