"""What makes a vendor's or a case's folder whole; the same checks test our own."""
