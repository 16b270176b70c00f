//! The token that the page asks for where others than this host reach it.

use std::io;
use std::path::{Path, PathBuf};

use parallax_identity::{Readers, write_whole};
use subtle::ConstantTimeEq as _;

/// Where it is when nothing else is said.
const FILE: &str = "http-token";

/// Fewer bytes than this can be guessed.
const SHORTEST: usize = 16;

/// What a visitor must show. Nobody prints it.
pub(super) struct Token(Vec<u8>);

impl Token {
    /// The token of a file that the operator keeps, or the collector's own, made when there is none.
    pub(super) fn open(given: Option<&Path>, data_dir: &Path) -> Result<(Self, PathBuf), String> {
        let path = given.map_or_else(|| data_dir.join(FILE), Path::to_owned);
        let told = |error: io::Error| format!("{}: {error}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => {
                let fresh = hex::encode(rand::random::<[u8; 32]>());
                write_whole(&path, format!("{fresh}\n").as_bytes(), Readers::Owner).map_err(told)?;
                fresh
            }
            read => read.map_err(told)?,
        };
        let token = text.trim().as_bytes().to_vec();
        if token.len() < SHORTEST {
            return Err(format!(
                "{}: a token has at least {SHORTEST} characters",
                path.display()
            ));
        }
        Ok((Self(token), path))
    }

    /// Whether this is it, found out in the same time whatever it is.
    pub(super) fn is(&self, shown: &[u8]) -> bool {
        self.0.ct_eq(shown).into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_start_makes_one_for_the_owner_alone_and_the_next_keeps_it() {
        let data = tempfile::tempdir().unwrap();
        let (_, path) = Token::open(None, data.path()).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let written = std::fs::read_to_string(&path).unwrap();
        let (again, _) = Token::open(None, data.path()).unwrap();
        assert!(again.is(written.trim().as_bytes()));
        assert!(!again.is(b"") && !again.is(&written.as_bytes()[..10]));
    }

    #[test]
    fn a_token_that_can_be_guessed_or_is_not_there_is_said() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("short");
        std::fs::write(&file, "secret\n").unwrap();
        assert!(
            Token::open(Some(&file), data.path())
                .err()
                .unwrap()
                .contains("at least 16")
        );
        assert!(Token::open(Some(&data.path().join("none")), data.path()).is_err());
    }
}
