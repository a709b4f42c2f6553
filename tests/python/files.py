"""Output files: listed through the SDK, downloaded with plain requests like CLI and notebooks."""

import hashlib

import requests
from azure.mgmt.batchai import models
from operations import scenario
from scenarios import (
    EXPERIMENT, GROUP, NFS, TIMEOUT_SECONDS, WORKSPACE, client, enqueue, files, job, job_in,
    last, names, plain, prepare, refused, submit, text, until)


@scenario()
def everything_is_made():
    """Creates workspace, file server, a cluster of up to two nodes, and an experiment."""
    prepare()


def get(link, **headers):
    response = requests.get(link, headers=headers, timeout=TIMEOUT_SECONDS)
    assert "Authorization" not in response.request.headers, "links need no token"
    return response


def link(name, file):
    return next(entry.download_url for entry in files(name) if entry.name == file)


@scenario("Jobs_ListOutputFiles")
def ranges_are_answered_as_by_a_storage_service():
    """Reads a file whole, in ranges and beyond its end, without a token: 200, 206 and 416."""
    enqueue("digits", "echo -n 0123456789; > $AZ_BATCHAI_STDOUTERR_DIR/empty")
    job_in("digits", "succeeded")
    place = link("digits", "stdout.txt")
    whole = get(place)
    assert whole.status_code == 200 and whole.content == b"0123456789", whole.content
    assert whole.headers["Accept-Ranges"] == "bytes", whole.headers
    assert whole.headers["Content-Type"] == "application/octet-stream", whole.headers
    assert whole.headers["ETag"] and whole.headers["Last-Modified"], whole.headers
    assert whole.headers["Content-Length"] == "10", whole.headers
    for asked, got, content in [
        ("bytes=0-2", "bytes 0-2/10", b"012"),
        ("bytes=7-", "bytes 7-9/10", b"789"),
        ("bytes=0-", "bytes 0-9/10", b"0123456789"),
        ("bytes=5-100", "bytes 5-9/10", b"56789"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
    ]:
        part = get(place, Range=asked)
        assert part.status_code == 206, f"{asked}: {part.status_code}"
        assert part.headers["Content-Range"] == got, f"{asked}: {part.headers}"
        assert part.content == content, f"{asked}: {part.content}"
    for asked in ("bytes=10-", "bytes=11-12"):
        part = get(place, Range=asked)
        assert part.status_code == 416 and part.content == b"", f"{asked}: {part.status_code}"
    for asked in ("bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "nonsense"):
        part = get(place, Range=asked)
        assert part.status_code == 200 and len(part.content) == 10, f"{asked}: {part.status_code}"
    assert get(place, Range="bytes=10-").headers["Content-Range"] == "bytes */10"
    empty = link("digits", "empty")
    assert get(empty).status_code == 200 and get(empty).content == b""
    assert get(empty, Range="bytes=0-").status_code == 416, "the end is reached at once"


@scenario()
def a_character_is_never_cut_in_half():
    """Reads while a job writes a character in two parts. No range ends inside a character."""
    enqueue("half", r"printf 'a\xc3'; sleep 0.6; printf '\xa4b'")
    until("the file shows up", lambda: "stdout.txt" in names(files("half")))
    place = link("half", "stdout.txt")
    def look():
        part = get(place, Range="bytes=0-")
        if part.status_code == 206:
            part.content.decode()
        return job("half").execution_state == "succeeded"
    until("half succeeds", look, pause=0.01)
    assert get(place).content.decode() == "aäb"


@scenario()
def what_is_not_there_yet_is_empty():
    """Lists an output directory without files, and a missing directory: both are empty."""
    enqueue("early", f"until [ -e {NFS}/go ]; do sleep 0.05; done",
           output_directories=[models.OutputDirectory(id="OUT", path_prefix=NFS)])
    assert files("early", "OUT") == [] and last() == {"value": []}, last()
    assert files("early", "OUT", "not/there") == []
    enqueue("go", f"touch {NFS}/go")
    job_in("early", "succeeded")


@scenario()
def an_unknown_directory_is_refused():
    """Lists unknown directories and directories outside of mounts, and uses invalid limits: 400."""
    message = refused(400, "OutputDirectoryNotFound", lambda: files("digits", "OUT"))
    assert "OUT is not present on a mount root" in message, message
    enqueue("nowhere", "true", output_directories=[
        models.OutputDirectory(id="TEMP", path_prefix="$AZ_BATCHAI_JOB_TEMP_DIR")])
    refused(400, "OutputDirectoryNotFound", lambda: files("nowhere", "TEMP"))
    # The SDK rejects this itself, so use plain requests.
    path = f"/experiments/{EXPERIMENT}/jobs/digits/listOutputFiles"
    for query in ({"linkexpiryinminutes": 4}, {"linkexpiryinminutes": 601}, {"maxresults": 0}):
        answer = plain("POST", path, params={"outputdirectoryid": "stdouterr", **query})
        assert answer.status_code == 400, f"{query}: {answer.status_code} {answer.text}"
    assert plain("POST", path).status_code == 400, "outputdirectoryid is required"


@scenario()
def many_files_come_in_pages_and_in_order():
    """Lists many files and directories, in pages of ten, with unusual names: in byte order, each once."""
    enqueue("many", "cd $AZ_BATCHAI_OUTPUT_OUT && touch $(seq 1 25) 'ü é#?%.txt' && mkdir B a",
           output_directories=[models.OutputDirectory(id="OUT", path_prefix=NFS)])
    job_in("many", "succeeded")
    options = models.JobsListOutputFilesOptions(outputdirectoryid="OUT", max_results=10)
    found = list(client.jobs.list_output_files(GROUP, WORKSPACE, EXPERIMENT, "many", options))
    expected = sorted([str(i) for i in range(1, 26)] + ["B", "a", "ü é#?%.txt"],
                      key=lambda name: name.encode())
    assert names(found) == expected, f"bytewise order, each once: {names(found)}"
    assert get(found[-1].download_url).status_code == 200, "whatever its name"


@scenario()
def a_large_file_is_whole():
    """Reads 30 MB in ranges. The digest equals the one that the job printed."""
    submit("large", "head -c 30000000 /dev/urandom > $AZ_BATCHAI_OUTPUT_OUT/data; "
           "sha256sum < $AZ_BATCHAI_OUTPUT_OUT/data | cut -d' ' -f1",
           output_directories=[models.OutputDirectory(id="OUT", path_prefix=NFS)])
    job_in("large", "succeeded")
    place = files("large", "OUT")[0].download_url
    digest = hashlib.sha256()
    step = 7_000_001
    for start in range(0, 30_000_000, step):
        part = get(place, Range=f"bytes={start}-{start + step - 1}")
        assert part.status_code == 206, part.status_code
        digest.update(part.content)
    assert digest.hexdigest() == text("large", "stdout.txt").strip()

