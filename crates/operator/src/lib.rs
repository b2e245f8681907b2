//! gastown-operator
