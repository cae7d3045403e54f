"""
The command line: ``comity``.

Data goes to standard output, everything else to standard error. Each command imports what it needs
when it runs, so that help and completion answer at once.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.cli.trouble import Trouble

__all__ = ["main", "run"]


def main() -> None:
    """Run the command that the process was started with, and end with its exit status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """
    Run one command and return its exit status; errors are printed, never raised.

    With COMITY_DEBUG=1 an error is raised as it is, with its traceback.
    """
    from typer.main import get_command

    from ledger.cli.app import app

    arguments = list(arguments)
    _speak_unicode()
    try:
        result = get_command(app).main(args=arguments, prog_name="comity", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _enough()
    except SystemExit as leave:
        if isinstance(leave.__context__, BrokenPipeError):
            return _enough()
        return leave.code if isinstance(leave.code, int) else 1
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- the edge of the program
        return _fail(error, as_json="--json" in arguments)
    return result if isinstance(result, int) else 0


def _speak_unicode() -> None:
    """
    Let names be written whatever the locale: UTF-8 where it knows ASCII alone; elsewhere as escapes.

    A run does not end half-way because an authority is called Miskolci járásbíróság.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            bare = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if bare else None, errors="backslashreplace")


def _enough() -> int:
    """The reader of the pipe has seen enough; Python flushes once more at exit and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return 0


def _fail(error: BaseException, *, as_json: bool) -> int:
    from ledger.cli.trouble import explain

    usage = _usage(error)
    if usage is None and os.environ.get("COMITY_DEBUG") == "1":
        raise error
    trouble = usage or explain(error)
    sys.stdout.flush()
    if as_json:
        sys.stderr.write(trouble.to_json() + "\n")
    else:
        sys.stderr.write("\n".join(trouble.lines()) + "\n")
    return trouble.status


def _usage(error: BaseException) -> Trouble | None:
    """What was wrong with the command as typed; None when the command itself was understood."""
    from ledger.cli.trouble import Trouble

    said = getattr(error, "format_message", None)
    if said is None:
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "comity"
    if type(error).__name__ == "NoArgsIsHelpError":
        # The help itself is the answer, and it has been composed already.
        return Trouble(2, f"{path} needs a command", now=f"see `{path} --help`")
    return Trouble(2, str(said()).strip(), now=f"see `{path} --help`")
