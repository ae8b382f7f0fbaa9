"""Which signals interrupt the driver, and how to defer interrupts until a clean-up is done."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1
"""As prctl(2) has it."""
REPEAT_S = 0.05
"""After what time an interrupt that was dropped comes again."""


def heed_interrupts() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does.

    SIGINT and SIGHUP stay ignored where they were on entry: `nohup` and a shell's `&` ask for that.
    SIGTERM always interrupts, so that such a run can be ended.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if not _ignored(signal.SIGHUP):
        signal.signal(signal.SIGHUP, _interrupt)
    _raise_lost_ones_again()


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when ``parent``, which started this process, has ended, even if it was killed.

    Raises KeyboardInterrupt where it has ended already.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise KeyboardInterrupt


def _raise_lost_ones_again() -> None:
    """Repeat an interrupt that Python drops because it came in a callback, as imports have many."""
    report = sys.unraisablehook

    def repeat(lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            # From a thread, later: here it would be dropped again.
            threading.Timer(REPEAT_S, _terminate_main_thread).start()
        else:
            report(lost)

    sys.unraisablehook = repeat


def _terminate_main_thread() -> None:
    ident = threading.main_thread().ident
    if ident is not None:
        signal.pthread_kill(ident, signal.SIGTERM)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer interrupts until the block ends: interrupted creation or removal would leak resources."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    # None: the handler was not installed from Python and cannot be restored.
    previous = {
        number: handler
        for number in SIGNALS
        if (handler := signal.getsignal(number)) is not None and not _ignored(number)
    }
    try:
        for number in previous:
            signal.signal(number, lambda number, _frame: held.append(number))
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def _ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
