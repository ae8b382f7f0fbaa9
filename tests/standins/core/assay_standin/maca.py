"""MetaX's ONNX Runtime: the real one, with a MACAExecutionProvider that runs on the CPU."""

from assay_standin import faults

PROVIDER = "MACAExecutionProvider"


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    if getattr(onnxruntime, "__assay_standin__", False):
        return
    real_session, real_providers = onnxruntime.InferenceSession, onnxruntime.get_available_providers

    class InferenceSession(real_session):
        """A session that says it is on MACA where it was asked for."""

        def __init__(
            self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs
        ):
            names = [
                p if isinstance(p, str) else p[0] for p in providers or ["CPUExecutionProvider"]
            ]
            unknown = [name for name in names if name not in onnxruntime.get_available_providers()]
            if unknown:
                raise ValueError("{} is not in available providers".format(unknown[0]))
            self._maca = PROVIDER in names
            if self._maca:
                self._check(providers, provider_options)
                if "oom" in faults.strike("load"):
                    raise RuntimeError("MACA failure 2: mcErrorMemoryAllocation ; out of memory")
            super().__init__(
                path_or_bytes, sess_options, providers=["CPUExecutionProvider"], **kwargs
            )

        @staticmethod
        def _check(providers, provider_options):
            given = [dict(p[1]) for p in providers if not isinstance(p, str)] + list(
                provider_options or []
            )
            for options in given:
                if str(options.get("device_id", "0")) != "0":
                    raise RuntimeError(
                        "MACA failure 101: mcErrorInvalidDevice ; invalid device ordinal"
                    )

        def get_providers(self):
            """MACA first, as the real one has it."""
            return [PROVIDER, "CPUExecutionProvider"] if self._maca else super().get_providers()

        def run(self, output_names, input_feed, run_options=None):
            """Run one batch."""
            if not self._maca:
                return super().run(output_names, input_feed, run_options)
            faults.strike("infer")
            return faults.spoil(super().run(output_names, input_feed, run_options))

        def run_with_iobinding(self, iobinding, run_options=None):
            """Run on bound buffers; only faults that need no output are there."""
            if self._maca:
                faults.strike("infer")
            return super().run_with_iobinding(iobinding, run_options)

    onnxruntime.InferenceSession = InferenceSession
    onnxruntime.get_available_providers = lambda: [PROVIDER] + real_providers()
    onnxruntime.get_device = lambda: "GPU"
    onnxruntime.__assay_standin__ = True
