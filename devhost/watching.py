"""The files whose change restarts a plugin."""

from watchfiles import PythonFilter

SOURCES = PythonFilter(extra_extensions=[".yaml", ".yml", ".html", ".css", ".js", ".svg", ".toml", ".txt"])
