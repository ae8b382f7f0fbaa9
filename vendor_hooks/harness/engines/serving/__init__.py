"""Engines that batch sequences by themselves (continuous batching): what they share, vLLM and TensorRT-LLM."""
