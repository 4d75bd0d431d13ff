"""Dify's own paths, for code that was written for Dify's Service API."""
