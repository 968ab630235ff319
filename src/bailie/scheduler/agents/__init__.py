"""The agents of the namespaces: their sessions over gRPC, and what may be believed of them."""
