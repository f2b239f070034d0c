//! The proxy credential of a session: HTTP Basic, as `http://USER:TOKEN@…` makes clients send it.

use http::HeaderValue;

/// Every account of a session begins so; other credentials are somebody else's business.
pub(super) const PREFIX: &str = "agent-";

/// More than any credential of ours.
const MAX: usize = 512;

/// A credential that claims to be of a session. Keeps a digest of the token, never the token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(super) account: String,
    pub(super) digest: Digest,
}

pub(super) type Digest = blake3::Hash;

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Credential {
    pub(crate) fn new(account: &str, token: &str) -> Credential {
        Credential { account: account.to_owned(), digest: digest(token) }
    }

    /// Reads a `Proxy-Authorization` header. None where it is not one of a session: a company's proxy credential that a
    /// tool was given for another hop says nothing here.
    pub(crate) fn read(header: Option<&HeaderValue>) -> Option<Credential> {
        let text = header?.to_str().ok()?;
        let (scheme, encoded) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > MAX {
            return None;
        }
        let decoded = data_encoding::BASE64.decode(encoded.trim().as_bytes()).ok()?;
        let (account, token) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        let sound = account.bytes().all(|byte| byte.is_ascii_graphic());
        (sound && account.starts_with(PREFIX)).then(|| Credential::new(account, token))
    }
}

pub(super) fn digest(token: &str) -> Digest {
    blake3::hash(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Credential> {
        Credential::read(Some(&HeaderValue::from_str(text).unwrap()))
    }

    fn basic(login: &str) -> String {
        format!("Basic {}", data_encoding::BASE64.encode(login.as_bytes()))
    }

    #[test]
    fn credentials_of_sessions_are_read() {
        let expected = Some(Credential::new("agent-x-1", "t:k"));
        assert_eq!(read(&basic("agent-x-1:t:k")), expected);
        assert_eq!(read(&basic("agent-x-1:t:k").replace("Basic", "bAsIc")), expected);
        assert_ne!(read(&basic("agent-x-1:other")), expected);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        assert_eq!(Credential::read(None), None);
        for other in ["Bearer abc", "Basic", "Basic !!!", "Basic ", &basic("ann:secret"), &basic("agent-x")] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(read(&basic(&format!("agent-{}:x", "y".repeat(600)))), None);
    }

    #[test]
    fn the_token_is_never_shown() {
        assert!(!format!("{:?}", Credential::new("agent-x", "s3cret")).contains("s3cret"));
    }
}
