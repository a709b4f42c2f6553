//! Acceptance tests: the `batchai` binary, real node processes, and the official clients. Each test
//! starts a service in a temporary directory on a loopback address, and leaves no process behind.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

mod acceptance {
    mod access;
    mod api;
    mod clients;
    mod commands;
    mod containers;
    mod crash;
    mod damage;
    mod disk;
    mod doctor;
    mod files;
    mod fuzz;
    mod gpus;
    mod interruption;
    mod issuer;
    mod job_user;
    mod login;
    mod messages;
    mod metrics;
    mod node_output;
    mod portal;
    mod processes;
    mod pytorch;
    mod quota;
    mod remote_login;
    mod runs;
    mod sdk;
    mod secrets;
    mod service;
    mod sweeps;
    mod tensorflow;
    mod toolkits;
    mod transfers;
    mod volumes;
    mod waiting;
    mod walkthrough;
}
