"""Webhooks: what other people's systems send, straight into an app."""
