"""From the dataset folder to preprocessed batches in host memory."""
