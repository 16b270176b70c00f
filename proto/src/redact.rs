//! How messages print that hold a join token: without it.

use std::fmt;

use crate::v1;

impl fmt::Debug for v1::JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::CreateTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateTokenResponse")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_printed() {
        let request = v1::JoinRequest {
            token_secret: vec![201; 24],
            name: "fra-1".into(),
            csr_der: vec![202; 3],
            wanted: "agent".into(),
        };
        assert_eq!(format!("{request:?}"), r#"JoinRequest { name: "fra-1", .. }"#);
        let answer = v1::CreateTokenResponse {
            token: "plx1.secret.fingerprint".into(),
            id: "3f2a9c01".into(),
        };
        assert_eq!(
            format!("{answer:?}"),
            r#"CreateTokenResponse { id: "3f2a9c01", .. }"#
        );
    }
}
