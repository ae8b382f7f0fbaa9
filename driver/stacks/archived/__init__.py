"""Images as files: blobs by digest, OCI layouts, what an engine has saved, and SIFs made of them."""
