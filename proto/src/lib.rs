//! The contract between the three programs, and the only place that opens wire types
