# SPDX-License-Identifier: Apache-2.0
"""The end of a test with a load: everything that was acknowledged is there, and every counter of the store is right."""
from faultlib.check import check
from faultlib.recount import recount_store
from harness.manager import scale

QUEUED_AND_ACTIVE = (0, 1)


def finish(load, store, manager):
    load.close_gate(90 * scale())
    check(load, everything=True)
    load.stop()
    manager.stop()
    assert recount_store(store, QUEUED_AND_ACTIVE) == []
