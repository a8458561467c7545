"""Python runs this at the start of every process of a watched build: it notes which of the build's files a job opens.

A job is a script of workflow/ with all that it starts; its notes are one file in the folder $WATCHED, which lies in the
build's. A line is `read` or `write` and a path below the build's folder.
"""

import os
import sys
import uuid

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(notes: str) -> None:
    build = os.path.dirname(os.path.dirname(notes)) + os.sep
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple) -> None:
        if event == "open" and not isinstance(arguments[0], int):
            kind, path = "write" if arguments[2] & WRITING else "read", arguments[0]
            if kind == "write" and os.path.isdir(path):  # a file in it that never gets a name
                return
        elif event == "os.rename":
            kind, path = "write", arguments[1]
        else:
            return
        path = os.path.abspath(os.fsdecode(path))
        if path.startswith(build):
            os.write(file, os.fsencode(f"{kind} {path.removeprefix(build)}\n"))

    sys.addaudithook(note)


if os.path.basename(os.path.dirname("".join(sys.orig_argv[1:2]))) == "workflow":
    os.environ.setdefault("JOB", os.path.join(os.environ["WATCHED"], uuid.uuid4().hex))
if "JOB" in os.environ:
    watch(os.environ["JOB"])
