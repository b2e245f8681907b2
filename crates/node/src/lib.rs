//! gastown-node
