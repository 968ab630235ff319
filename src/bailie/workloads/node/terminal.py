"""Makes standard input, a terminal, the one that controls this session, and becomes the command.

A script of its own, which `process` starts with the command as arguments: only a process of the new session
can take the terminal, and the job control and Ctrl-C of a shell need that.
"""

import fcntl
import os
import sys
import termios

if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command of somebody who may run commands
