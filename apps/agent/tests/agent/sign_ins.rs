//! An agent that knows only its launch and its instance.

use crate::support::control_plane::TOKEN;
use crate::support::{ControlPlane, Node};
use protocol::SignInResponse;

fn signed_in(node: &str, token: Option<&str>) -> SignInResponse {
    SignInResponse::Node { node_id: node.to_owned(), token: token.map(str::to_owned) }
}

#[test]
fn an_instance_asks_until_it_knows_its_node_and_asks_again_after_a_restart() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "n7", |_| {});
    node.start_agent_of_launch(&control, "launch-token");
    control.wait_for_sign_ins(2);
    control.answer_sign_ins(signed_in("n7", Some(TOKEN)));
    control.wait_until_idle("n7");
    node.kill_agent();
    let before = control.wait_for_sign_ins(3);
    node.start_agent_of_launch(&control, "launch-token");
    control.wait_for_sign_ins(before + 1);
    node.leave(&control, 0);
    assert!(node.agent_exit().success());
}

#[test]
fn an_instance_that_is_not_needed_exits() {
    let control = ControlPlane::start();
    let mut node = Node::new(&control, "n1", |_| {});
    control.answer_sign_ins(SignInResponse::Leave);
    node.start_agent_of_launch(&control, "launch-token");
    assert!(node.agent_exit().success());
    assert_eq!(control.wait_for_sign_ins(1), 1);
    control.change("n1", |script| assert!(script.requests.is_empty()));
}
