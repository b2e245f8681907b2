//! What a pod and the operator say to each other: orders in, reports out. serde only.
//!
//! ```text
//! operator ──GASTOWN_ORDERS (env, JSON)──▶ container      Orders, PolecatOrders, TestOrders, LandOrders, BeadsOrders,
//!                                                         NotifyOrders
//! operator ◀──termination message (JSON)── container      CloneReport, CourierReport, CandidateReport, LandReport, BeadsReport,
//!                                                         NotifyReport
//! ```
//!
//! Both directions carry a version, tolerate unknown fields, and are bounded: a report that does not fit is
//! shortened (free text first), never cut in the middle of the JSON.

pub mod beads;
#[allow(clippy::indexing_slicing, reason = "a JSON value answers null to a key it has not")]
pub mod claude;
pub mod conversation;
mod login;
mod notify;
mod orders;
mod report;
mod settings;
pub mod spent;
mod trouble;

pub use beads::{BeadsOutcome, BeadsRead, BeadsReport};
pub use login::{Login, claude_login, opencode_logins, without_refresh};
pub use notify::{Channel, NotifyOrders, NotifyOutcome, NotifyReport};
pub use orders::{
    AgentOrders, Allowance, BeadsOrders, Credential, Evidence, EvidenceKind, Input, LandOrders, Member, MergeStyle,
    Orders, Pace, Paths, PolecatOrders, RecordLevel, RemoteOrders, Subject, Sweep, TestOrders, Text, Transcript,
};
pub use report::{
    CandidateOutcome, CandidateReport, CloneOutcome, CloneReport, Conflict, ContentTrouble, CourierOutcome,
    CourierReport, CredentialProblem, Included, LandOutcome, LandReport, Report, ReportError, Tokens, exit,
};
pub use settings::{API_KEY_KEY, LOGIN_KEYS, OPENCODE_LOGINS, TOKEN_KEY, settings_key, settings_path};
pub use trouble::{RemoteTrouble, blames_the_remote};

/// The version both sides speak. A higher one is refused with a message that says which side to update.
pub const VERSION: u32 = 1;
/// Environment variable that carries a container's [`Orders`] as JSON.
pub const ORDERS_ENV: &str = "GASTOWN_ORDERS";
/// Environment variable (downward API) with the pod's own UID: the fence of its record.
pub const POD_UID_ENV: &str = "GASTOWN_POD_UID";
/// Environment variable of a pod's first step, where the rig names authorities of its own: the file into which it writes them
/// together with those that everybody trusts, for containers of other images.
pub const AUTHORITIES_ENV: &str = "GASTOWN_AUTHORITIES";
/// Texts longer than this travel in a ConfigMap, not in the pod spec. Bytes.
pub const INLINE_TEXT_LIMIT: usize = 32 * 1024;

/// Whether a text may travel in the pod spec: it is short, and stays so when its characters are escaped on the way
/// (a variable of a process holds 128 KiB).
#[must_use]
pub fn travels_inline(text: &str) -> bool {
    let escaped = |b: &u8| b.is_ascii_control() || matches!(b, b'"' | b'\\' | b'/' | b'$');
    let long = text.len() + 5 * text.as_bytes().iter().filter(|b| escaped(b)).count();
    text.len() <= INLINE_TEXT_LIMIT && long <= 2 * INLINE_TEXT_LIMIT
}

/// Largest report of clone and courier. Bytes.
pub const REPORT_LIMIT: usize = 1000;
/// Largest report of candidate, land and beads: the kubelet keeps 4,096 bytes a container.
pub const QUEUE_REPORT_LIMIT: usize = 4000;
/// Most members of one candidate: their landed commits must fit in its report.
pub const MAX_MEMBERS: usize = 40;
/// Where a container leaves its report.
pub const TERMINATION_PATH: &str = "/dev/termination-log";
/// Environment variable that overrides [`TERMINATION_PATH`] (nodes without a mount namespace rewrite it).
pub const TERMINATION_ENV: &str = "GASTOWN_TERMINATION_LOG";
/// File inside the nudge volume (downward API of the pod annotations) that courier watches.
pub const ANNOTATIONS_FILE: &str = "annotations";

/// Ref that holds a polecat's record: a chain of commits, moved by every push.
#[must_use]
pub fn record_ref(polecat_uid: &str) -> String {
    format!("refs/gastown/polecats/{polecat_uid}")
}

/// Ref that holds the newest uncommitted work of a polecat, where the record level keeps it.
#[must_use]
pub fn snapshot_ref(polecat_uid: &str) -> String {
    format!("refs/gastown/work/{polecat_uid}")
}

/// Ref that holds a polecat's conversation, where the record level keeps it.
#[must_use]
pub fn conversation_ref(polecat_uid: &str) -> String {
    format!("refs/gastown/conversations/{polecat_uid}")
}

/// Lines of courier's log that begin so are what the agent printed, as it printed it.
pub const RAW_MARK: &str = "raw| ";

/// Folder of refs under which the candidates of a rig's queue lie.
#[must_use]
pub fn candidates_prefix(rig: &str) -> String {
    format!("refs/gastown/candidates/{rig}/")
}

/// Folder of refs that keep each landed commit of a rig's queue: the proof that it was tested as it is.
#[must_use]
pub fn landed_prefix(rig: &str) -> String {
    format!("refs/gastown/landed/{rig}/")
}
