//! gastown-git
