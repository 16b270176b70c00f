//! How many of the rounds in which all is well are traced.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// A share, from 0, which is none, to 1, which is all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceRatio(f64);

/// One that was checked is a number.
impl Eq for TraceRatio {}

impl Default for TraceRatio {
    fn default() -> Self {
        Self(0.01)
    }
}

impl TraceRatio {
    pub(super) fn load(flag: Option<f64>, file: Option<f64>) -> Result<Self, ConfigError> {
        let Some(ratio) = flag.or(file) else {
            return Ok(Self::default());
        };
        if !(0.0..=1.0).contains(&ratio) {
            return Err(ConfigError::Value {
                key: "trace_ratio",
                value: ratio.to_string(),
                wanted: "a share from 0 to 1, such as 0.05",
            });
        }
        // Nobody means less than nothing by "-0".
        Ok(Self(ratio.abs()))
    }

    /// The share.
    pub const fn get(self) -> f64 {
        self.0
    }

    pub(super) fn to_toml(self) -> String {
        format!("trace_ratio = {}\n", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_from_none_to_all() {
        assert_eq!(TraceRatio::load(None, None).unwrap().get(), 0.01);
        assert_eq!(TraceRatio::load(Some(0.5), Some(1.0)).unwrap().get(), 0.5);
        for good in [0.0, 1.0] {
            assert_eq!(TraceRatio::load(None, Some(good)).unwrap().get(), good);
        }
        for bad in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            assert!(TraceRatio::load(Some(bad), None).is_err(), "{bad}");
            let problem = TraceRatio::load(None, Some(bad)).unwrap_err().to_string();
            assert!(problem.starts_with("trace_ratio: "), "{problem}");
        }
    }
}
