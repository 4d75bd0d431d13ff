"""What Dify starts: the SDK's plugin, with Duck's log going where the SDK's own goes, and room for more runs."""

import gc
import logging
import math
from typing import Literal

import gevent
from dify_plugin import DifyPluginEnv, Plugin
from dify_plugin.config.config import InstallMethod
from dify_plugin.config.logger_format import plugin_logger_handler
from pydantic import Field

from duck import limits
from duck import state as states
from duck.sdk import patches, transport
from duck.state import State
from duck.streams.slots import Slots


class Environment(DifyPluginEnv):
    """The SDK's environment variables, and Duck's own; those in a `.env` file count, too."""

    MAX_WORKER: int = Field(limits.MAX_WORKER, gt=0)
    MAX_RUNS: int = Field(limits.MAX_RUNS, gt=0)
    DUCK_TRANSPORT: Literal["duck", "stock"] = "duck"


def start() -> Plugin:
    """The plugin of this process, ready to run. Raises what pydantic does for an environment that cannot be read."""
    _log_as_the_sdk_does()
    environment = Environment()
    # With fewer workers there are fewer runs, so that one worker is left to refuse a run.
    max_runs = min(environment.MAX_RUNS, max(1, environment.MAX_WORKER * limits.MAX_RUNS // limits.MAX_WORKER))
    is_function = environment.INSTALL_METHOD is InstallMethod.Serverless
    state = State(slots=Slots(max_runs), run_s=limits.SERVERLESS_RUN_S if is_function else math.inf)
    states.use(state)
    patches.apply()
    patches.give_memory_back()
    gevent.config.track_greenlet_tree = False  # who has started whom: nobody asks, and each stream would keep it
    plugin = transport.FastPlugin(environment, state.slots)
    # To look for garbage among all that is loaded, and stays, would stop every stream for a tenth of a second, again and again.
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)  # hundreds of streams allocate much and leave little behind; the rest is Python's own
    return plugin


def _log_as_the_sdk_does() -> None:
    log = logging.getLogger("duck")
    log.setLevel(logging.INFO)
    log.addHandler(plugin_logger_handler)
    log.propagate = False  # the handler writes to stdout, which belongs to the protocol: nothing else may
    plugin_logger_handler.setFormatter(patches.LogFormatter())
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the address of each request
