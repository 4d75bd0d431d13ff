"""The addresses at which devhost listens: on loopback only."""

LOOPBACK = "127.0.0.1"
PORT = 8000
DEBUG_PORT = 5003  # of Dify's debugging server
