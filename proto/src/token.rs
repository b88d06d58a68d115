//! The join token: a secret that every call to a coordinator carries.
//!
//! It comes from a file or the environment, never from a command line, where other users of the
//! machine could read it. It can't be printed: [`Token`] has no `Display`, and its `Debug` does not
//! show it.

use std::{env, fmt, fs, io, os::unix::fs::PermissionsExt, path::Path, path::PathBuf};

use subtle::ConstantTimeEq;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

/// The environment variable that holds the token itself.
pub const VARIABLE: &str = "TRUNKLINE_TOKEN";

/// The metadata key that holds the token of a call.
const KEY: &str = "trunkline-token";
/// The shortest token. Shorter ones can be guessed.
const CHARACTERS_MIN: usize = 16;
const CHARACTERS_MAX: usize = 1024;

/// A join token.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

/// Why a token can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file can't be read.
    #[error("token file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Everybody on the machine can read the file.
    #[error("token file {}: other users can read it (mode {mode:04o}): run `chmod 600` on it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The text is not a token. The message does not show it.
    #[error(
        "{place}: a token is {CHARACTERS_MIN} to {CHARACTERS_MAX} visible ASCII characters on one line, and this is not"
    )]
    Unfit {
        /// The file or the variable.
        place: String,
    },
}

/// How the token of a call compares with the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It is the right one.
    Right,
    /// The call has none.
    Missing,
    /// It is another one.
    Wrong,
}

impl Token {
    /// The token of `file`, or else that of the environment variable [`VARIABLE`], or else none. An
    /// empty variable counts as none.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with the file or the variable.
    pub fn find(file: Option<&Path>) -> Result<Option<Token>, TokenError> {
        if let Some(path) = file {
            return Token::read(path).map(Some);
        }
        let variable = env::var(VARIABLE).ok().filter(|value| !value.is_empty());
        variable.map(|value| Token::new(&value).ok_or_else(|| unfit(format!("${VARIABLE}")))).transpose()
    }

    /// Reads the token from a file that only its owner, and perhaps a group, can read. White space
    /// around the token is removed.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Token, TokenError> {
        let failed = |source| TokenError::Read { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o007 != 0 {
            return Err(TokenError::Open { path: path.to_owned(), mode });
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Token::new(&text).ok_or_else(|| unfit(format!("token file {}", path.display())))
    }

    /// The token with this text, if the text can be one.
    pub fn new(text: &str) -> Option<Token> {
        let text = text.trim();
        let fits =
            (CHARACTERS_MIN..=CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic());
        let mut value: MetadataValue<Ascii> = fits.then(|| text.parse().ok()).flatten()?;
        value.set_sensitive(true);
        Some(Token(value))
    }

    /// Adds the token to the metadata of a call.
    pub fn show(&self, call: &mut MetadataMap) {
        call.insert(KEY, self.0.clone());
    }

    /// Compares the token of a call in constant time, which does not tell how much of it is right.
    pub fn check(&self, call: &MetadataMap) -> Shown {
        match call.get(KEY) {
            None => Shown::Missing,
            Some(shown) if shown.as_encoded_bytes().ct_eq(self.0.as_encoded_bytes()).into() => Shown::Right,
            Some(_) => Shown::Wrong,
        }
    }
}

fn unfit(place: String) -> TokenError {
    TokenError::Unfit { place }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "correct-horse-battery-staple";

    #[test]
    fn only_the_same_token_is_right() {
        let ours = Token::new(TEXT).unwrap();
        let shown = |text: &str| {
            let mut call = MetadataMap::new();
            Token::new(text).unwrap().show(&mut call);
            ours.check(&call)
        };
        assert_eq!(shown(TEXT), Shown::Right);
        assert_eq!(shown("correct-horse-battery-stapl"), Shown::Wrong);
        assert_eq!(shown("correct-horse-battery-stapleX"), Shown::Wrong);
        assert_eq!(ours.check(&MetadataMap::new()), Shown::Missing);
    }

    #[test]
    fn a_token_is_never_printed() {
        let mut call = MetadataMap::new();
        let token = Token::new(TEXT).unwrap();
        token.show(&mut call);
        assert!(!format!("{token:?} {call:?}").contains("horse"));
    }

    #[test]
    fn a_text_that_is_short_long_or_invisible_is_refused() {
        for text in ["", "short", "two words, and long enough", "line\nline-line-line", "t\u{f6}ken-t\u{f6}ken-token"] {
            assert!(Token::new(text).is_none(), "{text:?}");
        }
        assert!(Token::new(&"x".repeat(CHARACTERS_MAX + 1)).is_none());
        assert!(Token::new(&format!("  {TEXT}\n")).is_some());
    }

    #[test]
    fn a_file_that_everybody_can_read_is_refused() {
        let path = env::temp_dir().join(format!("trunkline-token-{}", std::process::id()));
        fs::write(&path, TEXT).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Token::read(&path), Err(TokenError::Open { mode: 0o644, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Token::read(&path).is_ok());
        fs::remove_file(&path).unwrap();
        assert!(matches!(Token::read(&path), Err(TokenError::Read { .. })));
    }
}
