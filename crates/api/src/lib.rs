//! gastown-api
