"""Any command of Slurm: asks the controller of the fake cluster. Its copies stand on the PATH."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

command = Path(sys.argv[0])
if command.name == "srun":
    os.setpgid(0, 0)  # signals reach the step without the batch shell
else:
    # A step that asks for its own end gets the answer before the signal, as it nearly always does in Slurm.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
request = {
    "command": command.name,
    "arguments": sys.argv[1:],
    "folder": str(Path.cwd()),
    "environment": dict(os.environ),
    "process": os.getpid(),
}
try:
    port = int((Path(__file__).parents[1] / "port").read_text())
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rw") as stream:
        stream.write(json.dumps(request) + "\n")
        stream.flush()
        reply = json.load(stream)
except (OSError, ValueError):
    sys.exit(f"{command.name}: error: Unable to contact slurm controller (connect failure)")
sys.stderr.write(reply["err"])
if reply["status"] or command.name != "srun":
    sys.stdout.write(reply["out"])
    sys.exit(reply["status"])
for number, path in enumerate(reply["out"]["paths"], 1):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
os.execvp(reply["out"]["run"][0], reply["out"]["run"])
