"""What there is to measure: cases, vendors and stacks, read from their manifests."""
