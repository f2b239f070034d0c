//! Content codings of bodies, and the forms in which a secret can stand in a text.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// Undoes the codings named in a `Content-Encoding` header.
pub fn decode(codings: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mut body = body.to_vec();
    for coding in codings.split(',').rev() {
        let mut out = Vec::new();
        match coding.trim() {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => _ = flate2::read::MultiGzDecoder::new(&body[..]).read_to_end(&mut out)?,
            "deflate" => _ = flate2::read::ZlibDecoder::new(&body[..]).read_to_end(&mut out)?,
            "zstd" => out = zstd::decode_all(&body[..])?,
            "br" => _ = brotli::Decompressor::new(&body[..], 4096).read_to_end(&mut out)?,
            other => bail!("unknown content coding {other}"),
        }
        body = out;
    }
    Ok(body)
}

pub fn encode(coding: &str, body: &[u8]) -> Result<Vec<u8>> {
    match coding {
        "" | "identity" => Ok(body.to_vec()),
        "gzip" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(body)?;
            Ok(out.finish()?)
        }
        "deflate" => {
            let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(body)?;
            Ok(out.finish()?)
        }
        "zstd" => zstd::encode_all(body, 3).context("zstd"),
        "br" => {
            let mut out = Vec::new();
            brotli::CompressorReader::new(body, 4096, 5, 22).read_to_end(&mut out)?;
            Ok(out)
        }
        other => bail!("unknown content coding {other}"),
    }
}

/// How a secret is written into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Raw,
    /// Base64 of a longer text, in which the secret starts at this offset modulo three.
    Base64(usize),
    Base64Url(usize),
    HexLower,
    HexUpper,
    /// Every byte as `%XX`.
    Percent,
    /// Only what a URL component cannot hold as it is.
    UrlComponent,
    /// Every UTF-16 unit as `\uXXXX` in the JSON source.
    Unicode,
}

impl Form {
    pub const ALL: [Form; 12] = [
        Form::Raw,
        Form::Base64(0),
        Form::Base64(1),
        Form::Base64(2),
        Form::Base64Url(0),
        Form::Base64Url(1),
        Form::Base64Url(2),
        Form::HexLower,
        Form::HexUpper,
        Form::Percent,
        Form::UrlComponent,
        Form::Unicode,
    ];

    /// The secret in this form, as it stands in the source of a JSON string.
    pub fn in_json(self, secret: &str) -> String {
        match self {
            Form::Raw => inside_json_string(secret),
            Form::Base64(offset) => BASE64.encode(amid(secret, offset).as_bytes()),
            Form::Base64Url(offset) => BASE64URL_NOPAD.encode(amid(secret, offset).as_bytes()),
            Form::HexLower => HEXLOWER.encode(secret.as_bytes()),
            Form::HexUpper => HEXUPPER.encode(secret.as_bytes()),
            Form::Percent => secret.bytes().map(|b| format!("%{b:02X}")).collect(),
            Form::UrlComponent => url_component(secret),
            Form::Unicode => secret.encode_utf16().map(|u| format!("\\u{u:04x}")).collect(),
        }
    }

    /// Whether other text is encoded together with the secret, so that some of it may stay around the placeholder.
    pub fn has_company(self) -> bool {
        matches!(self, Form::Base64(_) | Form::Base64Url(_))
    }
}

fn amid(secret: &str, offset: usize) -> String {
    format!("{}{secret}{}", &"user:ab"[..3 + offset], "; and more after it")
}

/// What stands between the quotes when `text` is written as a JSON string.
pub fn inside_json_string(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn url_component(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Every byte string whose presence shows that `secret` got through. For base64 it is the part that the secret alone
/// decides, at each of the three alignments.
pub fn traces(secret: &str) -> Vec<(String, Vec<u8>)> {
    let mut traces = vec![
        ("raw".to_owned(), secret.as_bytes().to_vec()),
        ("JSON-escaped".to_owned(), inside_json_string(secret).into_bytes()),
        ("hex".to_owned(), HEXLOWER.encode(secret.as_bytes()).into_bytes()),
        ("HEX".to_owned(), HEXUPPER.encode(secret.as_bytes()).into_bytes()),
        ("percent".to_owned(), Form::Percent.in_json(secret).into_bytes()),
        ("percent, lower case".to_owned(), Form::Percent.in_json(secret).to_lowercase().into_bytes()),
        ("URL component".to_owned(), url_component(secret).into_bytes()),
        (r"\u".to_owned(), Form::Unicode.in_json(secret).into_bytes()),
        (
            r"\u upper case".to_owned(),
            Form::Unicode.in_json(secret).to_uppercase().replace("\\U", "\\u").into_bytes(),
        ),
    ];
    for offset in 0..3 {
        let padded = [&b"\0\0"[..offset], secret.as_bytes()].concat();
        let own = |encoded: String| {
            // The first characters hold bits of what stands before, the last ones of what stands after.
            let first = (offset * 8).div_ceil(6);
            let last = padded.len() * 8 / 6;
            encoded.as_bytes()[first..last].to_vec()
        };
        traces.push((format!("base64 at {offset}"), own(BASE64_NOPAD.encode(&padded))));
        traces.push((format!("base64url at {offset}"), own(BASE64URL_NOPAD.encode(&padded))));
    }
    traces
}
