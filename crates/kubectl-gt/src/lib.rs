//! kubectl-gt
