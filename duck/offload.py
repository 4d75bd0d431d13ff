"""Runs long computations in a real thread, so that the streams of other requests go on meanwhile.

The SDK runs all requests as greenlets of one thread, and while one of them computes, all others stand still. A second thread
slows them down but does not stop them. There is one such thread, so large requests and their copies come one after the other.
"""

import sys
from collections.abc import Callable
from weakref import WeakKeyDictionary

import gevent
from gevent.hub import Hub
from gevent.threadpool import ThreadPool

# Seconds for which one thread keeps Python's lock while the other waits for it. The first thread gives it away with each read
# and write, thousands of times a second if there are many streams; with Python's default of 5 ms these would stall.
SWITCH_S = 0.0005

_pools: WeakKeyDictionary[Hub, ThreadPool] = WeakKeyDictionary()


def offload[T](size: int, work: Callable[[], T], *, small: int) -> T:
    """What `work` returns or raises. A `size` of at most `small` is worked on right here."""
    if size <= small:
        return work()

    def caught() -> T | BaseException:  # gevent's threads print what is raised in them
        try:
            return work()
        except BaseException as error:  # noqa: BLE001 - raised below
            return error

    result = _pool().apply(caught)
    try:
        if isinstance(result, BaseException):
            raise result
        return result
    finally:
        del result  # else the error would keep this frame, and all that it refers to, until the next garbage collection


def _pool() -> ThreadPool:
    hub = gevent.get_hub()
    if hub not in _pools:
        sys.setswitchinterval(SWITCH_S)
        _pools[hub] = ThreadPool(1, hub=hub)
    return _pools[hub]
