"""What Dify starts: the SDK's plugin, with Duck's log going where the SDK's own goes."""

import logging

from dify_plugin import DifyPluginEnv, Plugin
from dify_plugin.config.logger_format import plugin_logger_handler

log = logging.getLogger("duck")
log.setLevel(logging.INFO)
log.addHandler(plugin_logger_handler)
log.propagate = False  # the handler writes to stdout, which belongs to the protocol: nothing else may

plugin = Plugin(DifyPluginEnv())

if __name__ == "__main__":
    plugin.run()
