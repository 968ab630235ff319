"""The agents of the namespaces: their sessions over gRPC, and the checks of all that they say."""
