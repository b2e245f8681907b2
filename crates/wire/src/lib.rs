//! gastown-wire
