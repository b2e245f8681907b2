//! What courier has to say in the end.

use gastown_wire::CourierOutcome;

/// All there is to say.
pub(super) struct End {
    pub(super) outcome: CourierOutcome,
    /// The commit on the remote's work branch; empty where there is none of ours.
    pub(super) commit: String,
    pub(super) detail: String,
}

impl End {
    pub(super) fn of(outcome: CourierOutcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            commit: String::new(),
            detail: detail.into(),
        }
    }
}

pub(super) fn fenced() -> End {
    tracing::error!("a newer attempt holds the record: this one pushes nothing any more");
    End::of(CourierOutcome::Fenced, "a newer attempt holds the record")
}
