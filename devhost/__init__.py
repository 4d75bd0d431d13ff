"""A local stand-in for Dify's plugin daemon, and for the apps behind it. For development and tests only.

It starts an endpoint plugin as Dify does, serves it on loopback and answers its backwards calls from scripted apps:

    with Devhost("path/to/plugin", apps={"<uuid>": App(mode="chat", script=fn)}, settings={...}) as host:
        httpx.post(host.url + "/chat/<uuid>", json={"query": "hi"})

It is as unforgiving as the real daemon. It imports nothing of the plugin: the two exchange lines of JSON.

    host.py        Devhost: runs everything in a thread
    daemon.py      the routes, and the plugin's session for each request
    request.py     an HTTP request on its way to the plugin
    response.py    the plugin's chunks on their way to the client
    plugin.py      the interface of a running plugin: local.py (process.py and pipes), remote.py (debugging), serverless.py
    wire.py        the lines that are written to a plugin
    declaration.py reads manifest and routes, by schema.py; settings.py: an endpoint's values; limits.py: the daemon's limits
    dify.py        backwards calls; run.py: one call in its thread; execution.py: one run of an app's script
    inputs.py      inputs of apps; files.py: uploads and downloads; asking.py: forms for which runs wait
    recording.py   what is stored of a run: flows.py: runs of workflows; history.py: conversations; timeline.py: the time in Dify
    service/       Dify's Service API, which takes an app's own key; users.py: the end users of apps
    apps.py        scripted apps; demo/: the apps of `python -m devhost`
    serve.py       the command `python -m devhost`; command.py: options that the commands share; addresses.py: ports
    trace.py       messages as readable lines; console.py: the page at `/`
    debug.py       runs a plugin for remote debugging; debugged.py: what the plugin's process runs
    package.py     packs a plugin; installing.py: installs a package
    watching.py    the files whose change restarts a plugin
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devhost.apps import App, Call, Failure, Pause, say
    from devhost.asking import Ask, Filled
    from devhost.declaration import StartError
    from devhost.host import Devhost

__all__ = ["App", "Ask", "Call", "Devhost", "Failure", "Filled", "Pause", "StartError", "say"]

MODULES = {"Ask": "devhost.asking", "Devhost": "devhost.host", "Filled": "devhost.asking", "StartError": "devhost.declaration"}


def __getattr__(name: str) -> Any:
    """Imports a name on its first use: `python -m devhost` imports this package before it can handle signals."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES.get(name, "devhost.apps")), name)
