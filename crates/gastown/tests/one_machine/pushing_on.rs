//! What landed goes on to whichever repository the checkout came from.

use crate::checkout::{Checkout, until};

/// With `--push`, what landed goes to the checkout's own remote as well, the way its owner's git goes there.
#[test]
fn what_landed_is_pushed_on_with_the_settings_of_whoever_runs_the_town() {
    let checkout = Checkout::new();
    let origin = checkout.path("origin.git");
    let origin = origin.to_str().unwrap();
    checkout.git(&["clone", "--quiet", "--bare", ".", origin]);
    checkout.git(&["remote", "add", "origin", "https://git.example.com/parts.git"]);
    let settings = format!("[url \"file://{origin}\"]\n\tinsteadOf = https://git.example.com/parts.git\n");
    std::fs::write(checkout.path("home").join(".gitconfig"), settings).unwrap();
    let nowhere = checkout.gastown(&checkout.up_args(&["--push", "upstream"]));
    assert!(nowhere.failed(2).contains("git remote -v"));
    checkout.gastown(&checkout.up_args(&["--detach", "--push"])).ok();
    checkout.sling("p1", "echo p1 > p1; git add p1; git commit --quiet -m 'Add p1'");
    checkout.lands("p1");
    until("the push to origin", || {
        let log = checkout.git(&["--git-dir", origin, "log", "--format=%s", "main"]);
        log.contains("Add p1").then_some(())
    });
}
