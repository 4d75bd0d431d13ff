"""What takes long is done in a real thread, so that meanwhile the streams of others go on.

The SDK runs all requests in one thread, as greenlets: while one of them computes, all others stand still. Of two threads each
gets its turn, so that a second one slows them down, but does not stop them. It is one thread for all of this: what is large comes
one after the other, and so do the copies that are made of it.
"""

import sys
from collections.abc import Callable
from weakref import WeakKeyDictionary

import gevent
from gevent.hub import Hub
from gevent.threadpool import ThreadPool

# Seconds for which the second thread keeps Python's lock while the first wants it, which gives it away with each read and write:
# where there are many streams, these are thousands a second, and with Python's own 5 ms they would come to a standstill.
TURN_S = 0.0005

_pools: WeakKeyDictionary[Hub, ThreadPool] = WeakKeyDictionary()


def offload[T](size: int, work: Callable[[], T], *, small: int) -> T:
    """What `work` gives, or raises; done right here where `size` is at most `small`."""
    if size <= small:
        return work()

    def kept() -> T | BaseException:  # what a thread of gevent's raises, is printed, too
        try:
            return work()
        except BaseException as error:  # noqa: BLE001 - raised below
            return error

    result = _pool().apply(kept)
    try:
        if isinstance(result, BaseException):
            raise result
        return result
    finally:
        del result  # else an error would hold this frame, and so all that it was about, until garbage is collected


def _pool() -> ThreadPool:
    hub = gevent.get_hub()
    if hub not in _pools:
        sys.setswitchinterval(TURN_S)
        _pools[hub] = ThreadPool(1, hub=hub)
    return _pools[hub]
