"""Samples of deliveries, which people paste into a webhook's page. Pure."""

import re

from werkzeug import Request

from duck.errors import DuckError
from duck.faces.page.fields import SAMPLE
from duck.faces.webhook import payloads
from duck.runs import bodies

JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain"
_PAIR = r"[^\s=&]+=[^\s&]*"
_FORM = re.compile(rf"{_PAIR}(?:&(?:{_PAIR})?)*")  # a=b&c=d


def given(request: Request) -> str | None:
    """The sample in the form of a webhook's page, None if the request is not of that form. Raises `DuckError` 400."""
    if request.mimetype not in payloads.FORMS:
        return None
    sample = bodies.read(request, frozenset({SAMPLE})).get(SAMPLE)
    return sample if isinstance(sample, str) else None


def as_request(sample: str) -> Request:
    """The request of a sender who sends this. Its content type is what the sample looks like: JSON, a form, or else text."""
    text = sample.strip()
    mimetype = JSON if text[:1] in {"{", "["} else FORM if _FORM.fullmatch(text) else TEXT
    content_type = mimetype if mimetype == FORM else f"{mimetype}; charset=utf-8"
    body = (sample if mimetype == TEXT else text).encode("utf-8", "surrogatepass")
    request = Request.from_values(method="POST", data=body, content_type=content_type)
    del request.environ["HTTP_HOST"]  # a sender names another
    return request


def fault_of(request: Request) -> str:
    """Why a sample that looks like JSON cannot be parsed, so that it is a text; "" for any other sample."""
    try:
        if request.mimetype == JSON:
            bodies.read_json_value(request)
    except DuckError as error:
        return error.message
    return ""
