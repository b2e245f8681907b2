//! gastown
