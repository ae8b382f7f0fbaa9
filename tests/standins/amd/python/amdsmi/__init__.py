"""AMD SMI's Python binding, by which vLLM finds AMD's GPUs: nothing of it is called by a hook."""

__assay_standin__ = True
