"""Starts the SDK's plugin, with room for more runs, and with Duck's log going where the SDK's log goes."""

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
    """The SDK's environment variables and Duck's own, also from a `.env` file."""

    MAX_WORKER: int = Field(limits.MAX_WORKER, gt=0)
    MAX_RUNS: int = Field(limits.MAX_RUNS, gt=0)
    DUCK_TRANSPORT: Literal["duck", "stock"] = "duck"


def start() -> Plugin:
    """The plugin of this process, ready to run. Raises pydantic's `ValidationError` for invalid environment variables."""
    _log_as_the_sdk_does()
    environment = Environment()
    # With fewer workers fewer runs are allowed, so that a worker is left to refuse a further run.
    max_runs = min(environment.MAX_RUNS, max(1, environment.MAX_WORKER * limits.MAX_RUNS // limits.MAX_WORKER))
    is_function = environment.INSTALL_METHOD is InstallMethod.Serverless
    state = State(slots=Slots(max_runs), run_s=limits.SERVERLESS_RUN_S if is_function else math.inf)
    states.use(state)
    patches.apply()
    patches.return_memory()
    gevent.config.track_greenlet_tree = False  # nothing needs it, and it would cost memory for each stream
    plugin = transport.FastPlugin(environment, state.slots)
    # Without this each full collection would search all loaded modules, and stop every stream for a tenth of a second.
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)  # hundreds of streams allocate much and leave little garbage; the 10s are Python's defaults
    return plugin


def _log_as_the_sdk_does() -> None:
    log = logging.getLogger("duck")
    log.setLevel(logging.INFO)
    log.addHandler(plugin_logger_handler)
    log.propagate = False  # the handler writes in the daemon's protocol, and nothing else may write to stdout
    plugin_logger_handler.setFormatter(patches.LogFormatter())
    logging.getLogger("httpx").setLevel(logging.WARNING)  # at `INFO` it logs the address of each request
