//! Names hold for any input, not only for the ones we thought of.
#![allow(clippy::unwrap_used, reason = "a scene that cannot go on should say where")]

use gastown_api::labels::legal_label_value;
use gastown_api::names::{bounded, legalized, refinery_name, witness_name};
use proptest::prelude::*;

/// What Kubernetes takes as the name of a pod or of one of our objects.
fn legal_object_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
        && name.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.ends_with(|c: char| c.is_ascii_alphanumeric())
        })
}

fn object_name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,250}[a-z0-9])?"
}

proptest! {
    #[test]
    fn children_have_legal_names_of_their_own(rig in object_name()) {
        prop_assert!(legal_object_name(&witness_name(&rig)));
        prop_assert!(legal_object_name(&refinery_name(&rig)));
        prop_assert_ne!(witness_name(&rig), refinery_name(&rig));
    }

    #[test]
    fn any_text_becomes_a_legal_name_or_none(text in "\\PC{0,200}") {
        let name = legalized(&text);
        prop_assert!(name.is_empty() || (legal_object_name(&name) && name.len() <= 63), "{name}");
    }

    #[test]
    fn what_is_bounded_stands_in_a_label(name in object_name()) {
        prop_assert!(legal_label_value(&bounded(&name)), "{name}");
    }

    #[test]
    fn long_names_that_differ_anywhere_stay_different(head in "[a-z]{80}", one in "[a-z]{5}", other in "[a-z]{5}") {
        prop_assume!(one != other);
        prop_assert_ne!(bounded(&format!("{head}{one}")), bounded(&format!("{head}{other}")));
    }
}
