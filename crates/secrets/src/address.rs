//! The password in an address such as `postgres://app:PASSWORD@host/`: tools show it by itself, too.

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

/// As it is written, and decoded where that differs.
pub(crate) fn passwords(value: &[u8]) -> Vec<Zeroizing<String>> {
    let Some(written) = std::str::from_utf8(value).ok().and_then(password) else { return Vec::new() };
    let mut passwords = vec![Zeroizing::new(written.to_owned())];
    if let Ok(decoded) = percent_decode_str(written).decode_utf8()
        && decoded != written
    {
        passwords.push(Zeroizing::new(decoded.into_owned()));
    }
    passwords
}

fn password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}
