"""Telemetry of a device: one parser per tool, a sampler, and the figures of a window."""
