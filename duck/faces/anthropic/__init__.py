"""Anthropic's Messages API, with apps in place of models."""
