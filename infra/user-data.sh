# shellcheck shell=bash
# Prepares a new instance as a node: fetches the agent, checks it and starts it. The template puts
# this file into the user data of the launch template, after a header that sets the variables below.
# `infra/embed.py` copies it there; cloud-init runs it once, as root.
#
# A node that cannot be prepared switches itself off. The control plane sees that an instance ended
# before its node registered, terminates it for certain, reports the failure on the cluster and tries
# again with growing pauses. The output is in the console output of the instance.

set -euo pipefail

: "${BATCHAI_REGION:?}" "${BATCHAI_S3:?}" "${BATCHAI_ENDPOINT:?}" "${BATCHAI_AGENT_SHA256:?}"
: "${BATCHAI_AGENT_SHA256_ARM64=}" "${BATCHAI_EFS_UTILS_SHA256=}"

# Tests set these to a server and a directory of their own.
: "${BATCHAI_IMDS=http://169.254.169.254}"
: "${BATCHAI_TARGET=}"
: "${BATCHAI_MEMINFO=/proc/meminfo}"

software=$BATCHAI_TARGET/opt/batchai
settings=$BATCHAI_TARGET/etc/batchai
state=$BATCHAI_TARGET/var/lib/batchai
root=$BATCHAI_TARGET/mnt/batch/tasks/shared/LS_root
units=$BATCHAI_TARGET/etc/systemd/system
program=$software/batchai-agent

give_up() {
    echo "batchai: the node cannot be prepared; it switches itself off" >&2
    # Time for the console output to be stored.
    sleep 20
    shutdown --poweroff now
}

# The metadata of this instance; IMDSv2.
metadata() {
    local token
    token=$(curl --fail --silent --show-error --retry 5 --request PUT \
        --header 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$BATCHAI_IMDS/latest/api/token")
    curl --fail --silent --show-error --retry 5 \
        --header "X-aws-ec2-metadata-token: $token" "$BATCHAI_IMDS/latest/$1"
}

# fetch KEY SHA256 FILE: downloads an object of the stack's bucket with the credentials of the node
# role. In Python, because no image is sure to have the AWS CLI, and cloud-init needs Python anyway.
fetch() {
    local role
    role=$(metadata meta-data/iam/security-credentials/)
    metadata "meta-data/iam/security-credentials/$role" |
        python3 -c "$download" "$BATCHAI_REGION" "$BATCHAI_S3" "$1" "$3.part"
    if ! echo "$2  $3.part" | sha256sum --check --quiet; then
        echo "batchai: $1 has another checksum than the stack names" >&2
        rm --force "$3.part"
        return 1
    fi
    mv "$3.part" "$3"
}

download='
import datetime, hashlib, hmac, json, sys, time, urllib.parse, urllib.request

region, base, key, file = sys.argv[1:]
credentials = json.load(sys.stdin)
url = base + "/" + urllib.parse.quote(key)
parts = urllib.parse.urlsplit(url)


def request():
    """A GET with Signature Version 4 (Amazon S3 API reference, "Signature calculations")."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": parts.netloc,
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-date": now,
        "x-amz-security-token": credentials["Token"],
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"GET\n{parts.path}\n\n{lines}\n{names}\n" + headers["x-amz-content-sha256"]
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"
    signing = ("AWS4" + credentials["SecretAccessKey"]).encode()
    for word in scope.split("/"):
        signing = hmac.new(signing, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    identity = credentials["AccessKeyId"] + "/" + scope
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={identity}, SignedHeaders={names}, Signature={signature}"
    )
    return urllib.request.Request(url, headers=headers)


for attempt in range(6):
    try:
        with urllib.request.urlopen(request(), timeout=60) as answer, open(file, "wb") as output:
            while block := answer.read(1 << 20):
                output.write(block)
        break
    except OSError as error:
        print(f"batchai: {key} cannot be downloaded: {error}", file=sys.stderr)
        # An object that is not there does not come.
        if attempt == 5 or getattr(error, "code", None) == 404:
            sys.exit(1)
        time.sleep(2**attempt)
'

# File servers are mounted with TLS and IAM, which needs amazon-efs-utils. An image may have it;
# Amazon Linux has a package; for Debian and Ubuntu the stack names a package in its bucket (see
# infra/images.md). Without it a node starts, and only mounting a file server fails.
install_efs_utils() {
    if command -v mount.efs >/dev/null; then
        return 0
    elif command -v dnf >/dev/null; then
        dnf install --assumeyes --quiet amazon-efs-utils
    elif [ -n "$BATCHAI_EFS_UTILS_SHA256" ]; then
        local package=$software/amazon-efs-utils.deb
        fetch "packages/$BATCHAI_EFS_UTILS_SHA256.deb" "$BATCHAI_EFS_UTILS_SHA256" "$package"
        apt-get update --quiet --quiet
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet "$package"
    else
        echo "batchai: this image has no amazon-efs-utils; file servers cannot be mounted" >&2
    fi
}

install_agent() {
    local checksum
    case "$(uname --machine)" in
    x86_64) checksum=$BATCHAI_AGENT_SHA256 ;;
    aarch64) checksum=$BATCHAI_AGENT_SHA256_ARM64 ;;
    *) checksum= ;;
    esac
    if [ -z "$checksum" ]; then
        echo "batchai: the stack has no agent for $(uname --machine)" >&2
        return 1
    fi
    fetch "agent/$checksum" "$checksum" "$program"
    chmod 0755 "$program"
}

# The request that the keeper reads from its standard input. The keeper (`batchai-agent keep`)
# starts the agent, starts it again when it is killed, and ends with the last process of the node.
# The arguments of the agent:
#   --endpoint URL      the URL of the function api
#   --region REGION     requests are signed for this region with the role of the instance
#   --instance ID       the id under which the instance signs in (POST /instances/...); its cluster
#                       and its launch are in its tags, which node it is says the answer
#   --address IP        where the other nodes of a job reach this one
#   --root DIRECTORY    the directory of mounts and jobs
#   --login-port PORT   where the administrator of the cluster logs in with SSH; not port 22, which the
#                       image may use
# The words of the command are byte strings, in the form that Rust's serde gives to an `OsString`.
keeper_request() {
    local instance address
    instance=$(metadata meta-data/instance-id)
    address=$(metadata meta-data/local-ipv4)
    python3 -c '
import json, sys

file, *command = sys.argv[1:]
words = [{"Unix": list(word.encode())} for word in command]
print(json.dumps({"file": file, "group": None, "command": words, "user": None}))
' "$state/keeper" "$program" agent --endpoint "$BATCHAI_ENDPOINT" --region "$BATCHAI_REGION" \
        --instance "$instance" --address "$address" --root "$root" \
        --login-port 2222
}

# The memory of agent and jobs: all but a reserve of the system, which is a twentieth, at least 256 MiB and at most 4 GiB.
memory_of_jobs() {
    awk '/^MemTotal:/ {
        reserve = int($2 / 20)
        if (reserve < 262144) reserve = 262144
        if (reserve > 4194304) reserve = 4194304
        print $2 - reserve "K"
    }' "$BATCHAI_MEMINFO"
}

# The unit. `KillMode=process` and `Restart`: when the keeper is killed, the jobs stay and a new
# keeper starts an agent that adopts them. `SuccessAction`: a keeper that ends with 0 has removed
# its last process, because the node was asked to leave; then the machine switches itself off, which
# terminates it even when nobody else does.
# `MemoryMax`, `OOMPolicy` and `OOMScoreAdjust`: a job that needs too much memory is killed, and not the agent (the
# supervisor of a job raises the score of its processes), the system or, as systemd does by default, the whole unit.
unit() {
    cat <<UNIT
[Unit]
Description=batchai node
Wants=network-online.target
After=network-online.target
SuccessAction=poweroff
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=$program keep
StandardInput=file:$settings/keeper.json
Environment=HOME=/root
KillMode=process
KillSignal=SIGTERM
TimeoutStopSec=120
Restart=on-failure
RestartSec=2
LimitNOFILE=1048576
LimitMEMLOCK=infinity
TasksMax=infinity
MemoryMax=$(memory_of_jobs)
OOMPolicy=continue
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
UNIT
}

main() {
    trap give_up EXIT
    mkdir --parents "$software" "$settings" "$state" "$root"
    chmod 0700 "$state"
    install_agent
    install_efs_utils
    keeper_request >"$settings/keeper.json"
    unit >"$units/batchai-node.service"
    systemctl daemon-reload
    systemctl enable --now batchai-node.service
    trap - EXIT
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    main
fi
