"""tvm.relay.xpu.patterns."""


def custom_fuse_patterns(*names):
    """Return fusion patterns of one's own; the stand-in fuses nothing."""
    return list(names)
