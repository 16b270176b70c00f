//! A password from standard input.

use std::io::{self, Read};

use parallax_model::credential::Secret;
use zeroize::Zeroizing;

use crate::exit::Trouble;

const LONGEST: usize = 4096;

/// The first line, without its line end, as a secret.
pub(crate) fn read(mut input: impl Read) -> Result<Secret, Trouble> {
    // Never grown: a vector that moves leaves a copy of the secret behind.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == LONGEST => {
                return Err(Trouble::new(format!(
                    "the password on standard input is longer than {LONGEST} bytes"
                )));
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Trouble::new(format!("read the password: {error}"))),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.is_empty() {
        return Err(Trouble::new("the password on standard input is empty")
            .hint("pipe it in: ... --password-stdin < FILE"));
    }
    match std::str::from_utf8(&line) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(Trouble::new("the password on standard input is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password_and_its_end_is_not() {
        let password = |input: &[u8]| read(input).map(|secret| secret.expose().to_owned());
        assert_eq!(password(b"hunter 2\r\nmore").as_deref(), Ok("hunter 2"));
        assert_eq!(password(b" no end ").as_deref(), Ok(" no end "));
        assert!(password(b"\nlate").is_err());
        assert!(password(b"").is_err());
        assert!(password(&[0xff, b'\n']).is_err());
        assert!(password(&[b'x'; 5000]).is_err());
    }
}
