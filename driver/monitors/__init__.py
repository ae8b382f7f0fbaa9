"""Telemetry of a device: one parser a tool, a sampler, and the figures of a window."""
