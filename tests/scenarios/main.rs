//! The lab itself: what it promises, shown with plain tools.
