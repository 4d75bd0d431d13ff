"""A2A, the protocol between agents: apps as agents."""
