"""What engines of several vendors share: PyTorch on torch.cuda, a vendor's tools, engine files."""
