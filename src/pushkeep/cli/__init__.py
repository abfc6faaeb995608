"""The command line. Each command's module is its own file; all share the exit statuses of ``common.Exit``."""

from __future__ import annotations

import sys

from pushkeep.cli.app import app
from pushkeep.cli.common import Exit, complain, missing_package
from pushkeep.errors import PushkeepError


def main() -> None:
    """Run the command line; a wrong input is one sentence on standard error, never a traceback."""
    try:
        app()
    except PushkeepError as error:
        complain(error.message)
        sys.exit(Exit.USAGE if error.permanent else Exit.TRY_LATER)
    except ModuleNotFoundError as error:
        advice = missing_package(error)
        if advice is None:
            raise
        complain(advice)
        sys.exit(Exit.USAGE)
    except KeyboardInterrupt:
        sys.exit(130)  # what shells report for an interrupted program
    except BrokenPipeError:
        # The reader went away, as `| head` does. Closing stderr keeps the interpreter from complaining at exit.
        sys.stderr.close()
        sys.exit(Exit.FAILED)


__all__ = ["app", "main"]
