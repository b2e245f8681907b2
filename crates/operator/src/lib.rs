//! The operator: watches → facts → rules → writes. No git, no Secret access, no opinions.
//!
//! ```text
//! observe ──Fact──▶ town loop (owns World) ──decide──▶ Plan ──apply──▶ API server
//!                        ▲                                      │
//!                        └────────── Fact::Answered ◀───────────┘
//! ```

mod apply;
mod call;
mod calls;
mod health;
mod lease;
mod metrics;
mod observe;
mod render;
mod room;
mod town;

pub use calls::{CALLS, Call, Reach, is_called};
pub use health::{Health, router};
pub use lease::LeaseSettings;
pub use metrics::Metrics;
pub use observe::Scope;
pub use render::{PodUser, pod_manifest};
pub use town::{Clock, OperatorError, Settings, run};
