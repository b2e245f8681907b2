//! Our rules of names are git's rules.

use gastown_git::{BranchName, RefName};
use proptest::prelude::*;

use crate::scene::try_git;

/// Pieces that the rules are about, so that random names come near them.
fn names() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,3}",
        Just("/".to_owned()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just(".lock".to_owned()),
        Just("@".to_owned()),
        Just("@{".to_owned()),
        Just("-".to_owned()),
        Just("HEAD".to_owned()),
        "[ ~^:?*\\[\\\\]",
        "[\u{1}-\u{1f}\u{7f}]",
        "[ä€😀]",
        Just("refs/heads/".to_owned()),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn branch_names_as_git_takes_them(name in names()) {
        let dir = std::env::temp_dir();
        let (git, _) = try_git(&dir, &["check-ref-format", "--branch", &name]);
        // Not inside a repository, so @{-1} means nothing there either.
        prop_assert_eq!(BranchName::parse(&name).is_ok(), git, "{:?}", name);
    }

    #[test]
    fn ref_names_as_git_takes_them(name in names()) {
        let name = format!("refs/{name}");
        let (git, _) = try_git(&std::env::temp_dir(), &["check-ref-format", &name]);
        prop_assert_eq!(RefName::parse(&name).is_ok(), git, "{:?}", name);
    }
}
