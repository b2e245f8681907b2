//! Object ids, ref names and branch names, checked once where they enter.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// A name git would refuse, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name:?} is not valid: {why}")]
pub struct NameError {
    /// What it should have been.
    pub kind: &'static str,
    /// What was given.
    pub name: String,
    /// The rule it breaks.
    pub why: &'static str,
}

/// The id of a git object: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(String);

impl Oid {
    /// Checks and takes an id.
    ///
    /// # Errors
    /// [`NameError`] if it is not 40 or 64 hex digits.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex && matches!(text.len(), 40 | 64) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError {
            kind: "object id",
            name: text.to_owned(),
            why: "40 or 64 lower-case hex digits are needed",
        })
    }

    /// The id that stands for "no object" in SHA-1 repositories.
    #[must_use]
    pub fn zero() -> Self {
        Self("0".repeat(40))
    }

    /// Whether this is the id that stands for "no object".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }

    /// The "no object" id of the same length.
    pub(crate) fn zero_like(&self) -> Self {
        Self("0".repeat(self.0.len()))
    }

    /// The hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first seven digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

/// The full name of a ref: starts with `refs/` and obeys `git check-ref-format`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

impl RefName {
    /// Checks and takes a full ref name.
    ///
    /// # Errors
    /// [`NameError`] naming the rule it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let wrong = |why| NameError {
            kind: "ref",
            name: text.to_owned(),
            why,
        };
        if !text.starts_with("refs/") {
            return Err(wrong("a full name starts with refs/"));
        }
        check_ref_format(text).map_err(wrong)?;
        Ok(Self(text.to_owned()))
    }

    /// The ref of a branch.
    #[must_use]
    pub fn branch(branch: &BranchName) -> Self {
        Self(format!("refs/heads/{branch}"))
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The branch this is the ref of, if it is one.
    #[must_use]
    pub fn as_branch(&self) -> Option<BranchName> {
        BranchName::parse(self.0.strip_prefix("refs/heads/")?).ok()
    }
}

/// The name of a branch, without `refs/heads/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(String);

impl BranchName {
    /// Checks and takes a branch name, as `git check-ref-format --branch` does (but expands no `@{-1}`).
    ///
    /// # Errors
    /// [`NameError`] naming the rule it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let wrong = |why| NameError {
            kind: "branch",
            name: text.to_owned(),
            why,
        };
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        if text.starts_with('-') {
            return Err(wrong("it starts with a dash"));
        }
        if text == "HEAD" {
            return Err(wrong("HEAD is not a branch name"));
        }
        check_ref_format(&format!("refs/heads/{text}")).map_err(wrong)?;
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its full ref name.
    #[must_use]
    pub fn to_ref(&self) -> RefName {
        RefName::branch(self)
    }
}

/// The rules of `git check-ref-format` for a name with at least one slash.
fn check_ref_format(name: &str) -> Result<(), &'static str> {
    if name.starts_with('/') || name.ends_with('/') || name.contains("//") {
        return Err("it has an empty part");
    }
    if name.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err("it holds a control character");
    }
    if name.contains([' ', '~', '^', ':', '?', '*', '[', '\\']) {
        return Err("it holds a space or one of ~ ^ : ? * [ \\");
    }
    if name.contains("..") {
        return Err("it holds two dots in a row");
    }
    if name.contains("@{") {
        return Err("it holds @{");
    }
    if name.ends_with('.') {
        return Err("it ends with a dot");
    }
    if name.split('/').any(|part| part.starts_with('.')) {
        return Err("a part of it starts with a dot");
    }
    if name.split('/').any(|part| part.ends_with(".lock")) {
        return Err("a part of it ends with .lock");
    }
    Ok(())
}

macro_rules! text_like {
    ($($kind:ident),+) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $kind {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
        impl AsRef<str> for $kind {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl Borrow<str> for $kind {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )+};
}
text_like!(Oid, RefName, BranchName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BranchName, Oid, RefName};

    #[test]
    fn ids() {
        assert!(Oid::parse(&"a".repeat(40)).is_ok());
        assert!(Oid::parse(&"0".repeat(64)).is_ok_and(|o| o.is_zero()));
        for bad in ["", "HEAD", &"a".repeat(41), &"A".repeat(40), &"g".repeat(40), "--all"] {
            assert!(Oid::parse(bad).is_err(), "{bad}");
        }
        assert!(Oid::zero().is_zero());
    }

    #[test]
    fn a_branch_and_its_ref() {
        let branch = BranchName::parse("polecat/mp-123").unwrap();
        assert_eq!(branch.to_ref().as_str(), "refs/heads/polecat/mp-123");
        assert_eq!(branch.to_ref().as_branch(), Some(branch));
        assert_eq!(RefName::parse("refs/tags/v1").unwrap().as_branch(), None);
        assert!(RefName::parse("main").is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "\\PC{0,40}") {
            if let Ok(name) = BranchName::parse(&text) {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert!(!text.starts_with('-') && !text.contains(' '));
            }
        }
    }
}
