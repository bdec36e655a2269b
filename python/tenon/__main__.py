"""`python -m tenon`, and the script `tenon` of a wheel: the command-line program that comes with the package."""
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from . import _native


def main() -> NoReturn:
    """Turns this process into the program, which so gets the signals and whose exit code is the process's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C before the program has its own handler ends the process, with no traceback
    program = Path(_native.__file__).parent / "bin" / "tenon"
    try:
        os.execv(program, ["tenon", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"tenon: {program} cannot be run ({error.strerror}); install the package again, or build the target tenon_cli")


if __name__ == "__main__":
    main()
