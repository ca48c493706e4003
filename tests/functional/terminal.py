# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal for tests, where the machine has them."""
import os
import pty

import pytest


def open_pty():
    """(our end, the program's end) of a new terminal."""
    try:
        return pty.openpty()
    except OSError as error:
        pytest.skip(f"needs a terminal device (is /dev/pts mounted?): {error}")


def read_to_end(terminal):
    """All that the program wrote before it closed its end; closes ours."""
    text = b""
    try:
        while chunk := os.read(terminal, 4096):
            text += chunk
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return text.decode()
