"""Changes to Dify's SDK: patches, and a transport that needs less CPU time.

Delete this folder, let `main.py` run the SDK's own `Plugin(DifyPluginEnv())`, and Duck still runs: slower, with the SDK's faults.
"""
