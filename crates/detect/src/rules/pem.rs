//! Private keys in PEM form: a body that could be one, and none that proves to be something else.
//!
//! A body that cannot be read proves nothing: keys are cut off, mangled and masked where people paste them.

use data_encoding::{BASE64, BASE64_NOPAD};

use super::fixture::in_fixture;
use super::validators::Seen;
use crate::shape;

/// A PEM block with a body; a mention of the header alone is none, and a key that stands in a test or an
/// example is not in use.
pub(super) fn pem(seen: &Seen<'_>) -> bool {
    pem_anywhere(seen) && !in_fixture(seen)
}

/// The same, in a test too.
pub(super) fn pem_anywhere(seen: &Seen<'_>) -> bool {
    // Shorter runs are code that puts a block together.
    const SHORTEST_RUN: usize = 20;
    let Some((_, body)) = seen.value().split_once("PRIVATE KEY") else { return false };
    let body = body.split("-----END").next().unwrap_or(body);
    let body =
        body.split_once("-----").map_or(body, |(_, body)| body).replace("\\n", "\n").replace("\\r", "");
    let runs = body
        .lines()
        .filter(|line| !line.contains(": "))
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c)));
    let runs: Vec<&str> = runs.filter(|run| !run.is_empty()).collect();
    let longest = runs.iter().map(|run| run.len()).max().unwrap_or(0);
    let bytes = runs.concat();
    bytes.len() >= 32
        && longest >= SHORTEST_RUN
        && !bytes.to_ascii_lowercase().contains("xxxx")
        && shape::distinct(&bytes) >= 10
        && !is_no_private_key(&decoded(&bytes))
}

/// As many bytes as can be read.
fn decoded(base64: &str) -> Vec<u8> {
    let body = base64.trim_end_matches('=');
    let whole = body.get(..body.len() / 4 * 4).unwrap_or_default();
    BASE64.decode(whole.as_bytes()).unwrap_or_default()
}

/// What its own bytes give away: a public key under the wrong title, a key too short to protect anything, bytes
/// that count up as test vectors do.
fn is_no_private_key(der: &[u8]) -> bool {
    const COUNTS: usize = 12;
    let counts_up =
        der.windows(COUNTS).any(|window| window.array_windows().all(|[a, b]| *b == a.wrapping_add(1)));
    counts_up || rsa_modulus(der).is_some_and(|bits| bits == 0 || bits < 768)
}

/// The bits of the modulus of an RSA key, as PKCS#1 or PKCS#8 writes it: 0 if it is a public one.
fn rsa_modulus(der: &[u8]) -> Option<usize> {
    const INTEGER: u8 = 0x02;
    const OCTETS: u8 = 0x04;
    const SEQUENCE: u8 = 0x30;
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let (_, key, _) = element(der).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, version, rest) = element(key).filter(|(tag, ..)| *tag == INTEGER)?;
    if version.len() > 1 {
        // RSAPublicKey begins with its modulus and has an exponent behind it, no more.
        return Some(0);
    }
    match element(rest)? {
        (INTEGER, modulus, _) => {
            let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
            let (_, declared, _) = header(rest)?;
            Some(declared.saturating_sub(zeros) * 8)
        }
        (SEQUENCE, algorithm, rest) if algorithm.windows(RSA.len()).any(|window| window == RSA) => {
            let (_, inner, _) = element(rest).filter(|(tag, ..)| *tag == OCTETS)?;
            rsa_modulus(inner)
        }
        _ => None,
    }
}

/// Tag, declared length, and where the content begins.
fn header(der: &[u8]) -> Option<(u8, usize, usize)> {
    let [tag, first, rest @ ..] = der else { return None };
    if *first < 0x80 {
        return Some((*tag, usize::from(*first), 2));
    }
    let count = usize::from(*first & 0x7f);
    let length = rest.get(..count).filter(|_| (1..=3).contains(&count))?;
    Some((*tag, length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count))
}

/// Tag, as much of the content as there is, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length, start) = header(der)?;
    let content = der.get(start..)?;
    let (content, rest) = content.split_at(length.min(content.len()));
    Some((tag, content, rest))
}

/// A PEM file of a private key, encoded once more.
pub(super) fn pem_in_base64(seen: &Seen<'_>) -> bool {
    let value = seen.value_no_padding();
    let whole = value.get(..value.len() - usize::from(value.len() % 4 == 1)).unwrap_or_default();
    let Ok(decoded) = BASE64_NOPAD.decode(whole.as_bytes()) else { return false };
    decoded.windows(11).take(64).any(|window| window == b"PRIVATE KEY")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = content.len();
        let mut der = vec![0x30, 0x82, (length >> 8) as u8, length as u8];
        der.extend(content);
        der
    }

    fn integer(len: usize) -> Vec<u8> {
        let number = (0..len).map(|at| (at * 37 % 251 + 1) as u8);
        [0x02, 0x82, (len >> 8) as u8, len as u8].into_iter().chain(number).collect()
    }

    #[test]
    fn bytes_tell_what_no_key_is() {
        let version: &[u8] = &[2, 1, 0];
        assert!(!is_no_private_key(&der(&[version, &integer(256), &integer(3)])));
        assert!(is_no_private_key(&der(&[version, &integer(64), &integer(3)])), "512 bits");
        assert!(is_no_private_key(&der(&[&integer(256), &integer(3)])), "a public key");
        let counted: Vec<u8> = (0..32).collect();
        assert!(is_no_private_key(&der(&[version, &[4, 32], &counted])), "a test vector");
        assert!(!is_no_private_key(b"nothing that could be read at all"));
        assert!(!is_no_private_key(&[]));
        let cut = der(&[version, &integer(256)]);
        assert!(!is_no_private_key(&cut[..60]), "cut off");
    }
}
