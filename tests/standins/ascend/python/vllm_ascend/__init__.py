"""vLLM Ascend, which vLLM loads as its platform: nothing of it is called by a hook."""

__assay_standin__ = True
