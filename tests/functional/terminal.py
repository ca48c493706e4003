# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal for tests, where the machine has them."""
import pty

import pytest


def open_pty():
    """(our end, the program's end) of a new terminal."""
    try:
        return pty.openpty()
    except OSError as error:
        pytest.skip(f"needs a terminal device (is /dev/pts mounted?): {error}")
