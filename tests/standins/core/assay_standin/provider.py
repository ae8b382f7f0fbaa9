"""ONNX Runtime with a vendor's execution providers: the real one, whose nodes on the CPU are attributed to them.

A vendor's stand-in is a class derived from ProviderSession, and a call of patch.
"""

import json

from assay_standin import device_memory, faults, settings

EVERY = "*"
CPU = "CPUExecutionProvider"
ASSIGNED = "get_provider_graph_assignment_info"


class ProviderSession:
    """Goes before ONNX Runtime's own InferenceSession: says it is on those of the providers that were asked for.

    A vendor's class names its ``providers`` and overrides ``open_device``, ``compile_graph`` and ``lower``. The
    setting ``ort_missing`` names providers whose libraries are not there; ``ort_left_by_<provider>`` operators that a
    provider does not take (``ort_left_by_cuda``).
    """

    #: Those that the vendor's build of ONNX Runtime has, best first.
    providers = ()
    #: What ``get_device`` of that build says; None leaves the real answer.
    device = None
    #: The error of full memory.
    no_memory = "out of memory"
    #: Operators that no provider takes, so that their nodes run on the CPU; EVERY leaves them none.
    host_operators = ()
    #: How IO binding names the device's memory; None leaves bound values in the host's.
    memory = None
    available = staticmethod(list)
    host_value = None

    def __init__(
        self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs
    ):
        wanted = _wanted(providers, provider_options)
        unknown = [name for name, _ in wanted if name not in self.available()]
        if unknown:
            raise ValueError("{} is not in available providers".format(unknown[0]))
        own = {name: given for name, given in wanted if name in self.providers}
        stated = {name: self.open_device(name, given) for name, given in own.items()}
        # ONNX Runtime leaves out a provider whose libraries are missing, with a warning.
        missing = _names("ort_missing")
        #: Provider → its options as the session states them, of those that were loaded, in the caller's order.
        self._loaded = {name: given for name, given in stated.items() if name not in missing}
        if self._loaded and "oom" in faults.strike("load"):
            raise RuntimeError(self.no_memory)
        super().__init__(path_or_bytes, sess_options, providers=[CPU], **kwargs)
        for name, options in self._loaded.items():
            self.compile_graph(name, options, path_or_bytes)

    def open_device(self, provider, options):
        """Refuse options as the real provider does; return what it states of them."""
        return options

    def compile_graph(self, provider, options, model):
        """Do what the provider does to a graph that ONNX Runtime has read; ``options`` are those that it states."""

    def lower(self, array):
        """Round an input or an output as the providers' arithmetic does."""
        return array

    def get_providers(self):
        """Those that were loaded, best first, as the real one has it."""
        return [*self._loaded, CPU] if self._loaded else super().get_providers()

    def get_provider_options(self):
        """Return the providers' options, with those that were not given."""
        own = {name: dict(options) for name, options in self._loaded.items()}
        return dict(own, **super().get_provider_options())

    def run(self, output_names, input_feed, run_options=None):
        """Run one batch."""
        if not self._loaded:
            return super().run(output_names, input_feed, run_options)
        faults.strike("infer")
        feed = {name: self.lower(array) for name, array in input_feed.items()}
        outputs = super().run(output_names, feed, run_options)
        return faults.spoil([self.lower(array) for array in outputs])

    def io_binding(self):
        """Return an IOBinding, of the device's memory where there is one."""
        if self.memory is None or not self._loaded:
            return super().io_binding()
        return device_memory.Binding(self.memory, self.host_value)

    def run_with_iobinding(self, iobinding, run_options=None):
        """Run on bound buffers; on those of the host, only faults that need no output are there."""
        if isinstance(iobinding, device_memory.Binding):
            return iobinding.run(self, run_options)
        if self._loaded:
            faults.strike("infer")
        return super().run_with_iobinding(iobinding, run_options)

    def taker(self, operator):
        """Return the first provider that has a kernel for an operator."""
        return next((name for name in self._loaded if self._takes(name, operator)), CPU)

    def _takes(self, provider, operator):
        short = provider.replace("ExecutionProvider", "").lower()
        return not {EVERY, operator} & {*self.host_operators, *_names("ort_left_by_" + short)}

    def end_profiling(self):
        """Return ONNX Runtime's profile of what ran, with the nodes that a provider ran attributed to it."""
        path = super().end_profiling()
        if self._loaded:
            _attribute(path, self.taker)
        return path


class _Subgraph:
    """Nodes that one provider was assigned, as ONNX Runtime 1.24 and later lists them."""

    def __init__(self, ep_name, nodes):
        self.ep_name, self._nodes = ep_name, nodes

    def get_nodes(self):
        """Return the nodes."""
        return self._nodes


def _assigned(self):
    """Return the nodes of the graph by provider."""
    found = super(type(self), self).get_provider_graph_assignment_info()
    if not self._loaded:
        return found
    taken = {}
    for node in (node for subgraph in found for node in subgraph.get_nodes()):
        taken.setdefault(self.taker(node.op_type), []).append(node)
    return [_Subgraph(name, nodes) for name, nodes in taken.items()]


def _attribute(path, taker):
    """Write the provider's name over the CPU's; only a node's own event has a provider, as in ONNX Runtime."""
    with open(path) as file:
        events = json.load(file)
    for event in events:
        args = event.get("args", {})
        if "provider" in args:
            args["provider"] = taker(args["op_name"])
    with open(path, "w") as file:
        json.dump(events, file)


def _wanted(providers, provider_options):
    """(name, options) of each provider: pairs, or names with a list of options beside them."""
    beside = list(provider_options or [{} for _ in providers or [CPU]])
    return [
        (one, dict(options)) if isinstance(one, str) else (one[0], dict(one[1]))
        for one, options in zip(providers or [CPU], beside)
    ]


def _names(setting):
    """Return the names in a setting, separated by commas."""
    return [name for name in (settings.value(setting) or "").split(",") if name]


def patch(onnxruntime, kind):
    """Patch a freshly imported onnxruntime with a ProviderSession."""
    if getattr(onnxruntime, "__assay_standin__", False):
        return
    real_providers = onnxruntime.get_available_providers

    def available():
        others = [name for name in real_providers() if name not in kind.providers]
        return [*kind.providers, *others]

    host_value = onnxruntime.OrtValue.ortvalue_from_numpy
    own = {"available": staticmethod(available), "host_value": staticmethod(host_value)}
    if hasattr(onnxruntime.InferenceSession, ASSIGNED):
        own[ASSIGNED] = _assigned
    bases = (kind, onnxruntime.InferenceSession)
    onnxruntime.InferenceSession = type("InferenceSession", bases, own)
    onnxruntime.get_available_providers = available
    if kind.memory is not None:
        onnxruntime.OrtValue = device_memory.values_of(onnxruntime.OrtValue, kind.memory)
    if kind.device is not None:
        onnxruntime.get_device = lambda: kind.device
    onnxruntime.__assay_standin__ = True
