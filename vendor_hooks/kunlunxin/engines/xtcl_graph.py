"""XTCL through relay.build and the graph executor (vendor.toml sets it)."""

from hook.engines.xtcl import Xtcl

ENGINE = Xtcl
