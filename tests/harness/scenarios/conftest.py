"""A scenario as job.json has it, short enough for tests."""

from __future__ import annotations

from typing import Any


def scenario(name: str, **changes: Any) -> dict[str, Any]:
    """Return a scenario of a fraction of a second; ``changes`` are other fields."""
    return {
        "name": name,
        "samples_per_query": 8 if name == "multistream" else 1,
        "percentile": 0.9 if name == "singlestream" else 0.99,
        "token_bound_ns": None,
        "tokens": False,
        "latency_bound_ns": 500_000_000 if name == "server" else None,
        "min_duration_ms": 100,
        "min_query_count": 1,
        "probe_duration_ms": 50,
        "performance_samples": 16,
        **changes,
    }
