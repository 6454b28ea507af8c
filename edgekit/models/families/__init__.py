"""Model families, one per module: the rows of the registry and the builder of the network."""
