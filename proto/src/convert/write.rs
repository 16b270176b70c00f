//! What the writers share.

use std::time::Duration;

/// `From<&Model>` beside `From<Model>`.
macro_rules! by_reference {
    ($($model:ty => $wire:ty,)+) => {
        $(impl From<&$model> for $wire {
            fn from(value: &$model) -> Self {
                value.clone().into()
            }
        })+
    };
}
pub(super) use by_reference;

pub(super) fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

pub(super) fn millis(duration: Duration) -> u32 {
    duration.as_millis().try_into().unwrap_or(u32::MAX)
}

pub(super) fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

pub(super) fn all<M, W: From<M>>(values: Vec<M>) -> Vec<W> {
    values.into_iter().map(W::from).collect()
}
