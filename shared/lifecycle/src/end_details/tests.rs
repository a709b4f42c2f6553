//! Reports of ends with details, each applied to only the records that it names as affected.

use crate::jobs;
use crate::testing::*;
use futures::executor::block_on;
use model::{Job, JobState, LogPart, LogTail, limits};
use protocol::{End, EndDetails, OutputTail, ScarceResource, Shortage, SyncRequest};

const KILLED: End = End::Exited { exit_code: 137 };

fn shortage(evidence: &str) -> EndDetails {
    let (resource, evidence) = (ScarceResource::Memory, evidence.to_owned());
    EndDetails { shortage: Some(Shortage { resource, evidence }), output: vec![] }
}

fn output(files: &[(&str, &str)]) -> EndDetails {
    let tail = |(name, text): &(&str, &str)| OutputTail {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
        length: 7,
    };
    EndDetails { shortage: None, output: files.iter().map(tail).collect() }
}

/// A report of the node with this number about the first attempt of "a".
fn ends(number: usize, end: End, details: EndDetails) -> SyncRequest {
    let mut request = reports(number, "a", has_ended(end));
    request.attempt.as_mut().unwrap().end_details = Some(Box::new(details));
    request
}

/// The nodes with these numbers run "a", which is changed first.
fn busy(numbers: &[usize], change: impl FnOnce(&mut Job)) -> Fixture {
    let (mut job, nodes) = gang("a", numbers);
    change(&mut job);
    Fixture::of(manual_cluster(2), vec![job], nodes)
}

fn on_file_server(_: &mut Job) {}

fn on_its_node(job: &mut Job) {
    job.spec.std_out_err_path_prefix = "$AZ_BATCHAI_JOB_TEMP".into();
}

fn error(job: &Job) -> String {
    let JobState::Failed { exit_code, error, .. } = &job.state else { panic!("{:?}", job.state) };
    let details = error.details.iter().map(|(name, value)| format!("\n{name}: {value}"));
    let details: String = details.collect();
    format!("{} with {exit_code:?}: {}{details}", error.code, error.message)
}

#[test]
fn a_shortage_explains_a_failure() {
    let fixture = busy(&[0], on_file_server);
    fixture.observe(0, &ends(0, KILLED, shortage("oom_kill grew"))).unwrap();
    let job = fixture.job("a");
    insta::assert_snapshot!(error(&job), @r"
    JobFailed with Some(137): Job failed with non-zero exit code: memory ran out while it ran; use a VM size with more memory, or less memory per process
    Shortage: memory
    Node: n0
    Evidence: oom_kill grew
    ");
    let kept = job.attempts[0].ended.as_ref().unwrap().shortage.as_ref().unwrap();
    assert_eq!(kept.evidence, "oom_kill grew");
}

#[test]
fn what_is_no_failure_of_a_command_is_not_explained() {
    let ended = |end: End| {
        let fixture = busy(&[0], on_file_server);
        fixture.observe(0, &ends(0, end, shortage("e"))).unwrap();
        fixture.job("a").attempts[0].ended.as_ref().unwrap().shortage.clone()
    };
    assert!(ended(End::PreparationFailed { exit_code: 1 }).is_some());
    for end in [End::Exited { exit_code: 0 }, End::WallClockExceeded, End::Interrupted] {
        assert_eq!(ended(end.clone()), None, "{end:?}");
    }
}

/// The other nodes are stopped, and so report nothing of the kind.
#[test]
fn the_node_that_had_run_out_is_named() {
    let fixture = busy(&[0, 1], on_file_server);
    fixture.observe(1, &ends(1, KILLED, shortage(&"long ".repeat(100)))).unwrap();
    let late = ends(0, End::Exited { exit_code: 1 }, shortage("another"));
    fixture.observe(0, &late).unwrap();
    let job = fixture.job("a");
    let text = error(&job);
    assert!(text.contains("Node: n1\nEvidence: long long"), "{text}");
    let kept = job.attempts[0].ended.as_ref().unwrap().shortage.as_ref().unwrap();
    assert!(kept.evidence.len() <= limits::MAX_EVIDENCE_BYTES, "{}", kept.evidence.len());
}

fn kept(fixture: &Fixture) -> Vec<LogTail> {
    block_on(fixture.table.log_tails(&job_ref("a"))).unwrap()
}

/// Part, attempt and text of what is stored.
fn texts(fixture: &Fixture) -> Vec<(LogPart, u32, String)> {
    let text = |it: &LogTail| it.files.iter().map(|file| file.text.as_str()).collect();
    kept(fixture).iter().map(|it| (it.part, it.attempt, text(it))).collect()
}

#[test]
fn the_end_of_the_output_is_kept_where_it_cannot_be_read() {
    let report = || ends(0, KILLED, output(&[("stdout.txt", "out"), ("stderr.txt", "err")]));
    let fixture = busy(&[0], on_its_node);
    let change = fixture.observe(0, &report()).unwrap();
    assert_eq!(texts(&fixture), [(LogPart::Master, 1, "outerr".into())]);
    assert_eq!(kept(&fixture)[0].node, node_id(0));
    let writes = change.writes.len();
    let again = fixture.observe(0, &report()).unwrap();
    assert!(again.writes.is_empty(), "it is kept once");

    let fixture = busy(&[0], on_file_server);
    let change = fixture.observe(0, &report()).unwrap();
    assert_eq!((texts(&fixture), change.writes.len()), (vec![], writes - 1));
}

/// An agent may send what it likes.
#[test]
fn what_is_kept_is_bounded() {
    let long = format!("first\n{}last\n", "\u{1}\n".repeat(limits::MAX_OUTPUT_TAIL_BYTES));
    let many: Vec<(&str, &str)> = vec![("stdout.txt", &long); 5];
    let fixture = busy(&[0], on_its_node);
    fixture.observe(0, &ends(0, KILLED, output(&many))).unwrap();
    let [tail] = &kept(&fixture)[..] else { panic!("one record") };
    assert_eq!(tail.files.len(), limits::MAX_OUTPUT_TAILS);
    for file in &tail.files {
        // Each line is 8 bytes of JSON.
        let lines = file.text.lines().count();
        assert!(lines <= limits::MAX_OUTPUT_TAIL_BYTES / 8 + 1, "{lines} lines");
        assert!(file.text.ends_with("last\n"));
    }
}

#[test]
fn of_a_gang_the_master_and_the_member_whose_failure_ends_it_are_kept() {
    let of = |text| output(&[("stdout.txt", text)]);
    let fixture = busy(&[0, 1, 2], on_its_node);
    fixture.observe(1, &ends(1, KILLED, of("failed"))).unwrap();
    fixture.observe(2, &ends(2, KILLED, of("failed later"))).unwrap();
    fixture.observe(0, &ends(0, End::Stopped, of("master"))).unwrap();
    let expected =
        [(LogPart::Master, 1, "master".into()), (LogPart::FailedMember, 1, "failed".into())];
    assert_eq!(texts(&fixture), expected);
}

#[test]
fn the_output_is_removed_with_its_job() {
    let report = || ends(0, KILLED, output(&[("stdout.txt", "out")]));
    let delete = |fixture: &Fixture| {
        fixture.react(|draft| jobs::delete(draft, &job_ref("a"), uid("op")));
    };
    let fixture = busy(&[0], on_its_node);
    fixture.observe(0, &report()).unwrap();
    delete(&fixture);
    assert_eq!((fixture.jobs().len(), kept(&fixture).len()), (0, 0));
    // The job is removed by the report.
    let fixture = busy(&[0], on_its_node);
    delete(&fixture);
    fixture.observe(0, &report()).unwrap();
    assert_eq!((fixture.jobs().len(), kept(&fixture).len()), (0, 0));
}
