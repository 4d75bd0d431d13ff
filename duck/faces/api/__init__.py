"""Duck's own API."""
