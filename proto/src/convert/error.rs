/// Why a wire message is not a value of the model: the field, as a path from the message, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct WireError {
    field: String,
    problem: String,
}

impl WireError {
    /// A field, by its name in the `.proto` file, and what is wrong with it.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The path of the field, for instance `vantages[2].attempts[0].address`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The same error, seen from the message that holds the field's message.
    #[must_use]
    pub(super) fn inside(mut self, outer: &str) -> Self {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}
