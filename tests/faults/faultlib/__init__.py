# SPDX-License-Identifier: Apache-2.0
"""What the fault tests stand on: a manager with troubles, small disks, a recorded load, hostile clients."""
