"""InferSession, the Python interface of ais_bench."""

import aclruntime
import numpy as np

__assay_standin__ = True


class InferSession:
    """A model on a device: ``infer([array, …])`` gives a list of arrays."""

    def __init__(self, device_id, model_path, acl_json_path=None, debug=False, loop=1):
        self.device_id, self.model_path = device_id, model_path
        options = aclruntime.session_options()
        options.loop = loop
        self.session = aclruntime.InferenceSession(model_path, device_id, options)

    def get_inputs(self):
        """Describe the inputs."""
        return self.session.get_inputs()

    def get_outputs(self):
        """Describe the outputs."""
        return self.session.get_outputs()

    def infer(self, feeds, mode="static", custom_sizes=100000):
        """Run one batch, executed ``loop`` times; only fixed shapes are compiled here."""
        if mode not in ("static", "dymbatch", "dymhw", "dymdims", "dymshape"):
            raise RuntimeError("wrong infer_mode:{}".format(mode))
        if mode != "static":
            raise RuntimeError("[-1][ACL: general failure] the model has no dynamic gears")
        return self.session.run(None, [np.ascontiguousarray(feed) for feed in feeds])

    def set_loop_count(self, loop):
        """How often infer() executes a batch."""
        self.session.options().loop = loop

    def sumary(self):
        """Return the object with ``exec_time_list``, ms; spelt so."""
        return self.session.sumary()

    def reset_sumaryinfo(self):
        """Forget the times; spelt so."""
        self.session.reset_sumaryinfo()

    def finalize(self):
        """Free the model."""
        self.session = None
