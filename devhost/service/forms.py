"""Forms for which runs wait. Whoever has the app's key and the form's token can fill them in."""

from typing import Any

from starlette.responses import JSONResponse, Response

from devhost.apps import FLOW_MODES
from devhost.asking import Filled, InvalidFormError, WaitingForm
from devhost.service.requests import AppRequest, RefusedError, invalid, not_found
from devhost.service.runs import attached


async def form(request: AppRequest) -> Response:
    """What the form asks for."""
    waiting = _open(request)
    names = ("form_content", "inputs", "resolved_default_values", "expiration_time")
    definition = waiting.definition()
    return JSONResponse({**{name: definition[name] for name in names}, "user_actions": definition["actions"]})


async def submit(request: AppRequest) -> Response:
    """Fills in the form. The run goes on by itself."""
    end_user, body = await request.user_in_body(required=True), await request.object()
    action, inputs = body.get("action"), body.get("inputs")
    if not isinstance(action, str) or not isinstance(inputs, dict):
        raise invalid("inputs must be an object, and action a string")
    waiting = _open(request)
    try:
        waiting.check(action, inputs)
        values = {name: _value(request, value, end_user) for name, value in inputs.items()}
    except (InvalidFormError, ValueError) as reason:
        raise RefusedError(400, "invalid_form_data", str(reason)) from reason
    if not waiting.settle(Filled(action, values)):
        raise _refusal(waiting)
    return JSONResponse({})


def _open(request: AppRequest) -> WaitingForm:
    """The form that can be filled in."""
    waiting = request.dify.forms.get(request.path("form_token"))
    if waiting is None or waiting.app_id != request.app_id or request.app.mode not in FLOW_MODES:
        raise not_found("Form not found")
    if waiting.is_submitted or waiting.is_expired:
        raise _refusal(waiting)
    return waiting


def _refusal(waiting: WaitingForm) -> RefusedError:
    if waiting.is_submitted:
        submitted = f"This form has already been submitted by another user, form_id={waiting.id}"
        return RefusedError(412, "human_input_form_submitted", submitted)
    return RefusedError(412, "human_input_form_expired", f"This form has expired, form_id={waiting.id}")


def _value(request: AppRequest, value: Any, end_user: str) -> Any:
    """A submitted value as the run gets it. Raises `ValueError` for a file that the end user does not have."""
    if isinstance(value, list):
        return [_value(request, item, end_user) for item in value]
    return attached(request, value, end_user) if isinstance(value, dict) else value
