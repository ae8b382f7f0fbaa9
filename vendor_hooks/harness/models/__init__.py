"""What the model.py of several cases share: checkpoints, architectures, synthetic weights."""
