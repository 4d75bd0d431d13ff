"""Work on Dify's SDK itself. Without this folder Duck still runs: slower, and with the SDK's own faults."""
