//! gastown-harness
