//! Transcripts: what a person types, and what comes back on stdout, stderr and as exit code. Run against the API server
//! of this repository in process; or, with `REAL_KUBECONFIG`, against any real one that is there for tests
//! (every object of Gas Town in it is deleted between scenes).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a scene that cannot go on should say where"
)]
#![allow(unreachable_pub, reason = "scenes are shared by all of this program")]
#![allow(
    clippy::disallowed_types,
    reason = "a transcript is of a program, and the plugin may read and write Secrets of its user"
)]

mod auth;
mod completion;
mod convoys;
mod day_two;
mod documents;
mod fields;
mod figures;
mod help;
mod manners;
mod objects;
mod polecats;
mod rigs;
mod scene;
mod slinging;
mod terminal;

/// Compares a transcript with the one that is committed; `INSTA_UPDATE=always` writes it.
macro_rules! transcript {
    ($text:expr) => {{
        let text: String = $text;
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(text);
        });
    }};
}
pub(crate) use transcript;
