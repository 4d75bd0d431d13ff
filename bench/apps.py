"""The app of the benchmarks, for `python -m devhost --apps`. The query of a request says what its run sends."""

from collections.abc import Iterator

from bench.runs import Spec, Step
from devhost import App, Call


def _script(call: Call) -> Iterator[Step]:
    return Spec.parse(call.query).steps()


APPS = {"run": App(mode="chat", script=_script)}
