"""One job from its first stage to its result."""
