"""A container engine behind the Docker API: the connection, its traits, its containers and images."""
