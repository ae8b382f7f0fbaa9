"""torch.compile with AMD's backend, zentorch: fp32 and bf16.

Two things are wrong with it (2.13.0.2, found on an EPYC with avx512_bf16), and this engine keeps clear of both:

- Under autocast it computes other outputs, by 2 and more where bf16 is 0.02 off. bf16 is a cast of module and
  inputs here, as in every engine of PyTorch. tests/vendor_hooks/amd shows that the other one is found.
- A module that it has compiled no longer computes the same without it. Nothing else may run that module:
  validation is the engine `eager`, in a process of its own and with a module of its own.
"""

from harness.engines.torch_compiled import CompiledHost
from hook.processor import OnZen


class ZenTorch(OnZen, CompiledHost):
    """What zentorch has no operator for is inductor's; a result lists what was called (``operators``)."""

    backend = "zentorch"
    own_operators = ("zentorch::",)

    def accelerate(self, torch, module):
        """Compile with zentorch, whose import registers the backend."""
        import zentorch  # noqa: F401

        return super().accelerate(torch, module)

    def versions(self):
        """Versions of torch, transformers and zentorch."""
        import zentorch

        return dict(super().versions(), zentorch=zentorch.__version__)

    def warnings(self):
        """Say if zentorch took no operator: then inductor ran, under its name."""
        if any(name.startswith(self.own_operators) for name in self._compiled["operators"]):
            return ()
        return (
            (
                "effective_differs",
                "zentorch replaced no operator of this graph: what ran is inductor's",
                _remedy(),
            ),
        )


def _remedy():
    """What would help: zentorch leaves every graph to inductor where the processor has no AVX-512."""
    import zentorch

    supported = getattr(zentorch._C, "is_avx512_supported", None)
    if supported is not None and not supported():
        return "zentorch's operators need AVX-512 (Zen 4 or newer); here, measure ENGINE=inductor"
    return "compare it with ENGINE=inductor; a model of matrix products or attention has some"


ENGINE = ZenTorch
