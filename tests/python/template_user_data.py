"""Runs infra/user-data.sh against a metadata service and a bucket of its own.

    python template_user_data.py

Prints the request that the script leaves for the keeper, on the last line.
"""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REGION = "eu-west-1"
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a/token+of==")
AGENT = b"#!/bin/sh\nexit 0\n"
CHECKSUM = hashlib.sha256(AGENT).hexdigest()
INSTANCE, ADDRESS = "i-0123456789abcdef0", "10.77.1.2"

# Commands that the script must not run on this machine. Each writes its arguments to a file.
REPLACED = ["shutdown", "systemctl", "sleep", "apt-get", "dnf"]


class Handler(http.server.BaseHTTPRequestHandler):
    """The instance metadata service (IMDSv2), and the bucket below /bucket."""

    failures = 0
    problems = []

    def log_message(self, *_):
        pass

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        is_token = self.path == "/latest/api/token"
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self.answer(200, b"session") if is_token and lifetime else self.answer(400)

    def do_GET(self):
        if self.path.startswith("/latest/"):
            return self.metadata(self.path.removeprefix("/latest/meta-data/"))
        if Handler.failures > 0:
            Handler.failures -= 1
            return self.answer(503)
        problem = wrong_signature(self)
        if problem:
            Handler.problems.append(problem)
            return self.answer(403)
        wanted = f"/bucket/agent/{CHECKSUM}"
        return self.answer(200, AGENT) if self.path == wanted else self.answer(404)

    def metadata(self, path):
        if self.headers.get("X-aws-ec2-metadata-token") != "session":
            return self.answer(401)
        credentials = {
            "AccessKeyId": CREDENTIALS.access_key,
            "SecretAccessKey": CREDENTIALS.secret_key,
            "Token": CREDENTIALS.token,
        }
        values = {
            "iam/security-credentials/": "lab-NodeRole-1",
            "iam/security-credentials/lab-NodeRole-1": json.dumps(credentials),
            "instance-id": INSTANCE,
            "local-ipv4": ADDRESS,
        }
        return self.answer(200, values[path].encode()) if path in values else self.answer(404)


def wrong_signature(request):
    """Signs the request again with the SDK for Python, and compares."""
    headers = {name: request.headers[name] for name in request.headers}
    given = headers.pop("authorization", headers.pop("Authorization", ""))
    fields = dict(it.strip().split("=", 1) for it in given.split(" ", 1)[1].split(","))
    signed = set(fields["SignedHeaders"].split(";"))
    needed = {"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
    if not needed <= signed:
        return f"signed headers are {sorted(signed)}"
    url = f"http://{headers['Host']}{request.path}"
    copy = AWSRequest("GET", url, headers={k: v for k, v in headers.items() if k.lower() in signed})
    copy.context["timestamp"] = request.headers["x-amz-date"]
    signer = S3SigV4Auth(CREDENTIALS, "s3", REGION)
    expected = signer.signature(
        signer.string_to_sign(copy, signer.canonical_request(copy)), copy
    )
    scope = f"{CREDENTIALS.access_key}/{signer.scope(copy).split('/', 1)[1]}"
    if fields["Credential"] != scope:
        return f"the scope is {fields['Credential']}, not {scope}"
    return None if fields["Signature"] == expected else "the signature is another one"


@contextlib.contextmanager
def server():
    instance = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=instance.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{instance.server_port}"
    instance.shutdown()


def run(base, directory, **variables):
    """Runs the script below `directory`; returns its exit status and what it called."""
    commands, calls = directory / "commands", directory / "calls"
    commands.mkdir()
    for name in REPLACED:
        (commands / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{calls}"\n')
        (commands / name).chmod(0o755)
    (commands / "mount.efs").write_text("#!/bin/sh\n")
    (commands / "mount.efs").chmod(0o755)
    (directory / "etc/systemd/system").mkdir(parents=True)
    (directory / "meminfo").write_text("MemTotal:        8000000 kB\nMemFree: 1 kB\n")
    done = subprocess.run(
        ["bash", str(ROOT / "infra/user-data.sh")],
        env={
            "PATH": f"{commands}:{os.environ['PATH']}",
            "BATCHAI_REGION": REGION,
            "BATCHAI_ENDPOINT": "https://api.example.org",
            "BATCHAI_AGENT_SHA256": CHECKSUM,
            "BATCHAI_AGENT_SHA256_ARM64": CHECKSUM,
            "BATCHAI_IMDS": base,
            "BATCHAI_S3": base + "/bucket",
            "BATCHAI_TARGET": str(directory),
            "BATCHAI_MEMINFO": str(directory / "meminfo"),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    called = calls.read_text().splitlines() if calls.exists() else []
    return done.returncode, called, done.stderr


def expect(what, holds, *details):
    if not holds:
        sys.exit(f"not so: {what}\n" + "\n".join(map(str, (*details, *Handler.problems))))


def a_node_is_prepared(base, directory):
    Handler.failures = 1
    status, called, errors = run(base, directory)
    expect("the node is prepared", status == 0, status, errors)
    expect("the agent starts", called[-1].startswith("systemctl enable --now"), called)
    expect("the node stays on", not any(it.startswith("shutdown") for it in called), called)
    agent = directory / "opt/batchai/batchai-agent"
    expect("the agent is the bucket's", agent.read_bytes() == AGENT and os.access(agent, os.X_OK))
    unit = (directory / "etc/systemd/system/batchai-node.service").read_text()
    request = directory / "etc/batchai/keeper.json"
    # A twentieth of the memory is kept for the system.
    memory = ("MemoryMax=7600000K", "OOMPolicy=continue", "OOMScoreAdjust=-500")
    for line in (
        f"ExecStart={agent} keep",
        f"StandardInput=file:{request}",
        "KillMode=process",
        *memory,
    ):
        expect(f"the unit has {line}", line in unit.splitlines(), unit)
    command = [bytes(it["Unix"]).decode() for it in json.loads(request.read_text())["command"]]
    options = dict(zip(command[2::2], command[3::2]))
    expect("the agent is the command", command[:2] == [str(agent), "agent"], command)
    expect("the agent knows its instance", options["--instance"] == INSTANCE, command)
    expect("the agent knows its address", options["--address"] == ADDRESS, command)
    expect("the agent knows the API", options["--endpoint"] == "https://api.example.org", command)
    return request.read_text()


def an_agent_with_another_checksum_is_not_started(base, directory):
    wrong = {"BATCHAI_AGENT_SHA256": "0" * 64, "BATCHAI_AGENT_SHA256_ARM64": "0" * 64}
    # The object has the name of the wrong checksum, but the right content.
    original, Handler.do_GET = Handler.do_GET, renamed(Handler.do_GET)
    status, called, errors = run(base, directory, **wrong)
    Handler.do_GET = original
    expect("the checksum is compared", status != 0 and "checksum" in errors, status, errors)
    gives_up(called, directory)


def renamed(handle):
    def do_get(request):
        if request.path == "/bucket/agent/" + "0" * 64:
            return request.answer(200, AGENT)
        return handle(request)

    return do_get


def an_agent_that_is_not_there_is_not_started(base, directory):
    wrong = {"BATCHAI_AGENT_SHA256": "1" * 64, "BATCHAI_AGENT_SHA256_ARM64": "1" * 64}
    status, called, errors = run(base, directory, **wrong)
    expect("a missing agent is reported", status != 0 and "404" in errors, status, errors)
    gives_up(called, directory)


def gives_up(called, directory):
    expect("nothing starts", not any(it.startswith("systemctl") for it in called), called)
    expect("the node switches itself off", called[-1] == "shutdown --poweroff now", called)
    expect("no agent stays", not (directory / "opt/batchai/batchai-agent").exists())


def main():
    with server() as base:
        for case in (
            an_agent_with_another_checksum_is_not_started,
            an_agent_that_is_not_there_is_not_started,
            a_node_is_prepared,
        ):
            with tempfile.TemporaryDirectory() as directory:
                result = case(base, pathlib.Path(directory))
    expect("every signature is right", not Handler.problems)
    print(result, end="")


if __name__ == "__main__":
    main()
