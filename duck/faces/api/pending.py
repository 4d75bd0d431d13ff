"""Answers about runs that are not over. Pure."""

from werkzeug import Response

from duck.exchange import document
from duck.long_runs import Pending


def accepted(run: Pending) -> Response:
    """The answer to a request that has begun a run, as RFC 7240 has it."""
    response = goes_on(run)
    response.headers["Preference-Applied"] = "respond-async"
    return response


def goes_on(run: Pending) -> Response:
    """The answer to whoever asks for the run too early: where to ask again, and when."""
    forms = {"forms": list(run.forms)} if run.forms else {}
    response = document({"status": run.status, "run_id": run.run_id, "url": run.url, **run.ids, **forms}, 202)
    response.autocorrect_location_header = False
    response.headers.update({"Location": run.url, "Retry-After": str(run.retry_s)})
    return response
