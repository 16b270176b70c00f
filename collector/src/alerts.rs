//! Alerts: what is wrong, and who is told.

mod change;

pub(crate) use change::AlertChanges;
