//! What the readers share: each helper takes the name of the field, for the error.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use parallax_model::text;
use parallax_model::vantage::{Labels, parse_label};

use super::error::WireError;

/// How much of an unreadable value an error repeats, in characters.
const SHOWN: usize = 64;

/// Reads the labels of a vantage point, as [`parse_label`] does.
pub fn labels(field: &str, labels: HashMap<String, String>) -> Result<Labels, WireError> {
    labels
        .into_iter()
        .map(|(key, value)| {
            parse_label(&format!("{key}={value}"))
                .map_err(|_| unreadable(field, &format!("{key}={value}"), "a label"))
        })
        .collect()
}

pub(super) fn parse<T: FromStr>(field: &str, value: &str, what: &str) -> Result<T, WireError> {
    value.parse().map_err(|_| unreadable(field, value, what))
}

pub(super) fn parse_all<T: FromStr>(field: &str, values: &[String], what: &str) -> Result<Vec<T>, WireError> {
    values.iter().map(|value| parse(field, value, what)).collect()
}

pub(super) fn required<W, M>(field: &str, value: Option<W>) -> Result<M, WireError>
where
    M: TryFrom<W, Error = WireError>,
{
    let value = value.ok_or_else(|| WireError::new(field, "missing"))?;
    M::try_from(value).map_err(|error| error.inside(field))
}

pub(super) fn optional<W, M>(field: &str, value: Option<W>) -> Result<Option<M>, WireError>
where
    M: TryFrom<W, Error = WireError>,
{
    value
        .map(M::try_from)
        .transpose()
        .map_err(|error| error.inside(field))
}

pub(super) fn every<W, M>(field: &str, values: Vec<W>) -> Result<Vec<M>, WireError>
where
    M: TryFrom<W, Error = WireError>,
{
    let read =
        |(index, value)| M::try_from(value).map_err(|error| error.inside(&format!("{field}[{index}]")));
    values.into_iter().enumerate().map(read).collect()
}

pub(super) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(super) fn narrow<T, U>(field: &str, number: T) -> Result<U, WireError>
where
    T: Copy + Display,
    U: TryFrom<T>,
{
    U::try_from(number).map_err(|_| out_of_range(field, number))
}

/// JSON has no NaN and no infinity.
pub(super) fn finite(field: &str, number: f64) -> Result<f64, WireError> {
    if number.is_finite() {
        Ok(number)
    } else {
        Err(out_of_range(field, number))
    }
}

/// A number from 0 to 1.
pub(super) fn share(field: &str, number: f64) -> Result<f64, WireError> {
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err(out_of_range(field, number))
    }
}

pub(super) fn some_finite(field: &str, number: Option<f64>) -> Result<Option<f64>, WireError> {
    number.map(|number| finite(field, number)).transpose()
}

pub(super) fn microsecond(field: &str, number: i64) -> Result<Timestamp, WireError> {
    Timestamp::from_microsecond(number).map_err(|_| out_of_range(field, number))
}

pub(super) fn second(field: &str, number: i64) -> Result<Timestamp, WireError> {
    Timestamp::from_second(number).map_err(|_| out_of_range(field, number))
}

pub(super) fn unreadable(field: &str, value: &str, what: &str) -> WireError {
    WireError::new(
        field,
        format!("\"{}\" is not {what}", text::escape_str(value, SHOWN)),
    )
}

fn out_of_range(field: &str, number: impl Display) -> WireError {
    WireError::new(field, format!("{number} is out of range"))
}
