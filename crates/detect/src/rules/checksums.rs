//! Tokens that carry their own checksum: whether it is right.
//!
//! Only formats whose issuer describes the checksum, or whose own code makes it, stand here. A token with a wrong
//! one is made up, or was changed on its way; it opens nothing, and what reports it says so.

use data_encoding::BASE32_NOPAD;

use super::carried::{pypi, sentry};
use super::fixture::in_fixture;
use super::validators::{Seen, Validator, shannon, token};
use crate::shape;

pub(super) const ALL: &[(&str, Validator)] = &[
    ("checksum", |seen| is_right(seen.value()) == Some(true)),
    ("checksum_if_any", |seen| is_right(seen.value()).unwrap_or_else(|| token(seen))),
    ("wrong_checksum", |seen| is_right(seen.value()) == Some(false) && is_typed(seen)),
];

/// None for a form that has no checksum, or none that is known.
fn is_right(value: &str) -> Option<bool> {
    if let Some((prefix, body)) = value.split_once('_') {
        let known = match prefix {
            "ghp" | "gho" | "ghu" | "ghs" | "ghr" | "npm" | "nbp" if body.len() == 36 => {
                Some(crc_in_base62(body))
            }
            "cfk" | "cfut" | "cfat" => Some(hexadecimal(body, 40)),
            "zpka" => body.split_once('_').map(|(key, sum)| hexadecimal(&format!("{key}{sum}"), 32)),
            "glsa" => Some(grafana(value)),
            "cio" => body.strip_prefix("tp_").map(crates_io),
            "jsrp" | "jsrd" | "jsrw" if body.len() == 35 => Some(crc_in_base62(value)),
            "polar" => body.rsplit('_').next().filter(|body| body.len() == 43).map(crc_in_base62),
            "sntrys" => Some(sentry(body)),
            "packagist" if value.len() == 82 => Some(hexadecimal(value, 74)),
            _ => None,
        };
        if known.is_some() {
            return known;
        }
    }
    if let Some(body) = value.strip_prefix("pypi-") {
        return Some(pypi(body));
    }
    if ["AGE-SECRET-KEY-1", "nsec1", "suiprivkey1"].iter().any(|form| value.starts_with(form)) {
        return Some(bech32(&value.to_ascii_lowercase()));
    }
    if value.starts_with("gl") && value.contains('.') {
        return Some(gitlab(value));
    }
    ([56, 58].contains(&value.len()) && value.starts_with('S')).then(|| nkey(value))
}

/// What somebody made up so that it looks like a token, outside a test: it may be one with a slip in it.
fn is_typed(seen: &Seen<'_>) -> bool {
    let value = seen.value();
    let worded = shape::explained(value) * 4 >= value.len();
    let dense = !worded && value.bytes().any(|byte| byte.is_ascii_digit());
    // Upper case alone, or letters of sixteen, has less to choose from.
    let least = if value.len() < 60 { 3.8 } else { 3.5 };
    token(seen) && dense && shannon(seen.value().as_bytes()) >= least && !in_fixture(seen)
}

/// The last six characters are the CRC-32 of those before, in base 62.
/// GitHub: <https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>;
/// npm: <https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/>;
/// NetBird: `PATChecksumLength` in netbirdio/netbird; Polar: polarsource/polar, `server/polar/kit/crypto.py`;
/// JSR, which counts its beginning in: jsr-io/jsr, `api/src/token.rs`.
fn crc_in_base62(body: &str) -> bool {
    let Some((random, sum)) = body.len().checked_sub(6).and_then(|at| body.split_at_checked(at)) else {
        return false;
    };
    digits(
        crc32fast::hash(random.as_bytes()),
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        6,
    ) == sum.as_bytes()
}

/// The last eight characters are the CRC-32 of the `len` before, in hexadecimal.
/// Cloudflare: <https://developers.cloudflare.com/fundamentals/api/get-started/token-formats/>;
/// Zuplo: <https://zuplo.com/docs/articles/api-key-management>. Both only say that it is a checksum; published tokens
/// show which. Packagist counts its beginning in: packagist/private-packagist-docs, `docs/composer-authentication.md`.
fn hexadecimal(body: &str, len: usize) -> bool {
    let Some((key, sum)) = body.split_at_checked(len) else { return false };
    sum.len() == 8 && format!("{:08x}", crc32fast::hash(key.as_bytes())).eq_ignore_ascii_case(sum)
}

/// Behind the last `_` stands the CRC-32 of all before it, the lowest byte first: grafana/grafana,
/// `pkg/components/satokengen`.
fn grafana(value: &str) -> bool {
    value.rsplit_once('_').is_some_and(|(body, sum)| {
        let expected = crc32fast::hash(body.as_bytes()).swap_bytes();
        sum.eq_ignore_ascii_case(&format!("{expected:08x}"))
    })
}

/// Behind a dot stand, in base 36, the payload's length and the CRC-32 of all before it:
/// <https://handbook.gitlab.com/handbook/engineering/architecture/design-documents/cells/routable_tokens/>.
fn gitlab(value: &str) -> bool {
    let Some((body, sum)) = value.len().checked_sub(7).and_then(|at| value.split_at_checked(at)) else {
        return false;
    };
    digits(crc32fast::hash(body.as_bytes()), b"0123456789abcdefghijklmnopqrstuvwxyz", 7) == sum.as_bytes()
}

/// All characters but the last, added without carry, choose it: rust-lang/crates.io, `crates_io_trustpub`.
fn crates_io(body: &str) -> bool {
    const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let Some((sum, raw)) = body.as_bytes().split_last() else { return false };
    let chosen = raw.iter().fold(0u8, |sum, byte| sum ^ byte);
    ALPHANUMERIC.get(usize::from(chosen) % ALPHANUMERIC.len()) == Some(sum)
}

/// <https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki>, which age and Nostr's NIP-19 follow.
fn bech32(value: &str) -> bool {
    const SYMBOLS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let Some((name, data)) = value.rsplit_once('1') else { return false };
    let upper = name.bytes().map(|byte| u32::from(byte >> 5));
    let lower = name.bytes().map(|byte| u32::from(byte & 31));
    let symbols: Option<Vec<u32>> =
        data.bytes().map(|byte| SYMBOLS.iter().position(|s| *s == byte).map(|at| at as u32)).collect();
    let Some(symbols) = symbols else { return false };
    let all = upper.chain([0]).chain(lower).chain(symbols);
    let sum = all.fold(1u32, |sum, symbol| {
        let top = sum >> 25;
        let next = (sum & 0x1ff_ffff) << 5 ^ symbol;
        (0..)
            .zip(GENERATOR)
            .fold(next, |next, (bit, term)| if top >> bit & 1 == 1 { next ^ term } else { next })
    });
    sum == 1
}

/// The last two of its bytes are the CRC-16 of the others, the lowest first: nats-io/nkeys, and Stellar's seeds,
/// <https://github.com/stellar/stellar-protocol/blob/master/ecosystem/sep-0023.md>.
fn nkey(value: &str) -> bool {
    let Ok(bytes) = BASE32_NOPAD.decode(value.as_bytes()) else { return false };
    let Some((body, sum)) = bytes.split_last_chunk::<2>() else { return false };
    let crc =
        body.iter().fold(0u16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            })
        });
    u16::from_le_bytes(*sum) == crc
}

/// A number in the base that its alphabet has, at its full width.
fn digits(mut number: u32, alphabet: &[u8], width: usize) -> Vec<u8> {
    let base = u32::try_from(alphabet.len()).unwrap_or(10);
    let mut written = vec![b'0'; width];
    for digit in written.iter_mut().rev() {
        *digit = alphabet.get((number % base) as usize).copied().unwrap_or(b'0');
        number /= base;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by other programs: Python's zlib, base64 and bech32, the test vectors of BIP 173's family, nkeys' own,
    /// crates.io's own, those of Sui's proposal 15.
    const RIGHT: &[&str] = &[
        "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",
        "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",
        "ghs_7IfDH5mMDdwin86TkVYCM7l8GQlchb13JFEo",
        "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",
        "nbp_Wiw8SE7diV3TMXVjM8AhghjsllAj7n40oVOo",
        "cfut_4JuXFZo2qh20xlReGsaL1dvnyzv0ZzyA0xIfl4c7f3370f85",
        "cfat_xU2zXCot2PoPUtg3SUunWZTRTpysCW9f4CA96qeG9b6331dc",
        "cfk_s6R3uYEIi75qB4sA9Q0NksyRRM3NQTCmyv4mwaQw10def717",
        "zpka_9658d7dbc036095e68de96039211d9b9_16557af9",
        "zpka_63cc58ea44ecd5b868ec5ff527e03af2_2fda35e3",
        "glsa_vPUaKRIrOaLuAqkiL6dzcdvGoJWsk1Cd_e5f50a9b",
        "glsa_SXAoZmhFkrrQxeJ6mXJlSwP90IfVRhUi_33e37e98",
        "glpat-bzoxCnU6MGlMLBDCVbV2Uq4br99gnVs4EA.0y1nwyf2k",
        "glpat-bzoxCnU6amYGdsAxeOMpUlXjv4GgF8sKEA.01.0y128nplj",
        "glrt-bzoxCnU6dDhRQwWSl5Q__NolFLVToqunEA.01.0y126cj0j",
        "cio_tp_gGK6jurSwKyl9V3Az19z7YEFQI9aoOOd",
        "cio_tp_Z19cy0rNoJjSRbW38sVzAGT5XolHAdnW",
        "AGE-SECRET-KEY-1N84CR29PJTUQA22ALHP4YDL5ZFMXPW5GVETVY3UK58ZD6NPNPDLS4MCZFS",
        "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5",
        "polar_oat_Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7yEeeby3a1xuc93",
        "polar_at_u_nKTbxTNJFoBinF5aJXVuLkSIc47WQAmL9xVQ23ydJfx",
        "packagist_ort_37b07790226acaeaf5bb1952153c76cff875d116e923fb7dabe18386d88d525909f2",
        "packagist_cut_e676e4f41f5a2c8b907cd226d5ffcf7f5ebd8f7b5d21f644d467fd3ca57550f76d1c",
        "jsrp_HjQMhuOzE95B9EgE0VrbBGI09QYNd3PJ3Ws",
        "jsrd_aKy8isWydfhl3TvtnythpZPPPP6Ue3it6HB",
        "suiprivkey1qzwant3kaegmjy4qxex93s0jzvemekkjmyv3r2sjwgnv2y479pgsywhveae",
        "suiprivkey1qzrvpqv36hgv6pxn472uee9k4m6trfp6z5rs5g4rtn635cx4ww8qce6gyas",
        "SA2DXPNG7F2X5WDBCN5OTL2JYQFZ3INEGIJZSJKUIGTL5MKNT6ISFPMT",
        "SUAGDLNBWI2SGHDRYBHD63NH5FGZSVJUW2J7GAJZXWANQFLDW6G5SXZESU",
        "SUAAVWRZG6M5FA5VRRGWSCIHKTOJC7EWNIT4JV3FTOIPO4OBFR5WA7X5TE",
    ];

    #[test]
    fn a_right_checksum_is_told_from_a_wrong_one() {
        for value in RIGHT {
            assert_eq!(is_right(value), Some(true), "{value}");
            // Each of the characters behind the service's own beginning, one place on.
            let mark = value.rfind(['_', '-']).or_else(|| value.find("key1").map(|at| at + 3));
            let own = mark.map_or(5, |at| at.min(value.len() - 12)) + 2;
            for at in own..value.len() {
                let mut changed = value.as_bytes().to_vec();
                changed[at] = match changed[at] {
                    b'Z' => b'A',
                    b'z' => b'a',
                    b'9' | b'7' => b'2',
                    b'.' | b'_' | b'-' => continue,
                    byte => byte + 1,
                };
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(is_right(&changed), Some(false), "{changed}");
            }
        }
    }

    #[test]
    fn what_has_no_checksum_is_not_judged() {
        for value in ["glpat-ABxoe5NkdYpjXKPF7uXv", "npm_short", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "ghr_"] {
            assert_eq!(is_right(value), None, "{value}");
        }
    }
}
