"""Work on Dify's SDK itself: what is mended of it, and what of it is done with less work.

Delete this folder, let `main.py` run the SDK's own `Plugin(DifyPluginEnv())`, and Duck still runs: slower, with the SDK's faults.
"""
