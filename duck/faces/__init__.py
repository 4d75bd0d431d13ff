"""The protocols that callers speak, each a package."""
