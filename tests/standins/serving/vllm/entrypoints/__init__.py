"""Entry points of vLLM's stand-in."""
