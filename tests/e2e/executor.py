"""The SDK's way from the bytes of a request to those of its answer, with a Dify that plays a script: a process of its own.

Importing the SDK patches the whole process. Reads a JSON object for each request, a line each, and writes one for each answer.
"""

import json
import os
import sys
from types import SimpleNamespace
from typing import Any

from dify_plugin import DifyPluginEnv
from dify_plugin.core.entities.plugin.request import EndpointInvokeRequest
from dify_plugin.core.plugin_executor import PluginExecutor
from dify_plugin.core.plugin_registration import PluginRegistration

from duck import state as states
from duck.sdk import patches
from duck.state import State
from tests import fuzzing
from tests.support import Dify, NoSleepClock


def main() -> None:
    """Answers until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else gets into them
    states.use(State(clock=NoSleepClock()))  # no daemon is there to cut short answers
    patches.apply()
    environment = DifyPluginEnv()
    executor = PluginExecutor(environment, PluginRegistration(environment))
    for line in sys.stdin:
        print(json.dumps(answer(executor, **json.loads(line))), file=answers, flush=True)


def answer(executor: PluginExecutor, request: str, settings: dict[str, Any], dify: list[str]) -> dict[str, Any]:
    """The answer to a request, in hexadecimal digits both; or what the SDK says to bytes that it cannot read."""
    stream, blocking, form = dify
    session = Dify(fuzzing.STREAMS[stream], fuzzing.ANSWERS[blocking], fuzzing.FORMS[form])
    run = SimpleNamespace(invoke=session.invoke)
    session.app = SimpleNamespace(fetch_app=session.app.fetch_app, chat=run, workflow=run, completion=run)
    try:
        head, *rest = executor.invoke_endpoint(session, EndpointInvokeRequest(settings=settings, raw_http_request=request))
    except (TypeError, ValueError) as error:
        return {"refused": str(error)}
    return {
        "status": head["status"],
        "headers": head["headers"],
        "body": "".join(part.get("result", "") for part in (head, *rest)),
        "asked": [call["app_id"] for call in session.calls],
        "fetched": session.fetched,
    }


if __name__ == "__main__":
    main()
