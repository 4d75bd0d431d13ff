"""MCP, the Model Context Protocol: apps as tools."""
