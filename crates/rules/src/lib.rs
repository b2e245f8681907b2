//! gastown-rules
