//! gastown-apiserver
