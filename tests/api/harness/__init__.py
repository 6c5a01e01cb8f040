# SPDX-License-Identifier: Apache-2.0
"""What the black box tests stand on: a manager of their own, an HTTP client, and a farm to play with."""
