//! Every field of every spec: what it does is read off the pods, statuses and instants that are decided from a manifest and
//! rendered as they are sent; where the plugin serves it, off what that prints (`crates/kubectl-gt/tests/transcripts/fields.rs`).
//! The manifest without the field must show something else; and what work that is under way makes of a change is looked at too.
//! The rows are in the YAML files beside this: `docs/CRD_REFERENCE.md` is made from them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod pods;
mod row;
mod states;
mod town;
mod view;

use row::Shown;

/// Plays all rows of a kind; names every one that is not so.
fn holds(kind: &'static str, text: &str) {
    let rows = row::read(kind, text);
    let wrong: Vec<String> = rows.iter().filter_map(|row| row.play().err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n\n")
    );
}

#[test]
fn polecat() {
    holds("polecat", include_str!("polecat.yaml"));
}

#[test]
fn rig() {
    holds("rig", include_str!("rig.yaml"));
}

#[test]
fn convoy() {
    holds("convoy", include_str!("convoy.yaml"));
}

#[test]
fn witness() {
    holds("witness", include_str!("witness.yaml"));
}

#[test]
fn refinery() {
    holds("refinery", include_str!("refinery.yaml"));
}

#[test]
fn bead_store() {
    holds("beadStore", include_str!("bead_store.yaml"));
}

/// A row that would pass whatever the code did is found out.
#[test]
fn a_row_that_shows_nothing_fails() {
    let text = |see: &str, changed: &str| {
        format!(
            "- field: image\n  shows: nothing\n  changed: {changed}\n  given: {{rig: {{image: mine:1}}}}\n  see: {{{see}}}\n"
        )
    };
    let play = |see: &str, changed: &str| row::read("rig", &text(see, changed))[0].play();
    let image = "/pod/spec/containers/opencode/image: 'mine:1'";
    assert_eq!(play(image, "next attempt"), Ok(Shown::Here));
    let said = |see, changed| play(see, changed).unwrap_err();
    assert!(said("/pod/kind: Pod", "next attempt").contains("without the field"));
    assert!(said("/pod/kind: Service", "next attempt").contains("with the field"));
    assert!(
        said(image, "at once").contains("at once"),
        "the pod that runs keeps its image"
    );
    let paused = row::read(
        "rig",
        "- {field: paused, shows: x, changed: next attempt, given: {rig: {paused: true}}, see: {/rig/conditions/Ready/reason: Paused}}",
    );
    assert!(paused[0].play().unwrap_err().contains("not to act yet"));
}
