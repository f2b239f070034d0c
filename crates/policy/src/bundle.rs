//! Signed policy bundles: documents, a version that only grows, and an Ed25519 signature in one file.
//!
//! Pure: keys, files and the clock are whoever calls's. What a bundle says counts as managed policy, so the keys that
//! may sign one come from managed configuration alone.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};

use crate::PublicKey;
use crate::documents::{self, Document};
use crate::error::DocumentErrors;

/// Stands before what is signed, so that no signature of another kind fits.
const CONTEXT: &[u8] = b"sallyport-policy-bundle-v1\0";
const FORMAT: &str = "sallyport-policy-bundle/1";
/// Longer files are no bundle.
pub const MAX_BUNDLE: usize = 16 << 20;

/// A key that signs bundles. Wiped when dropped; `Debug` shows the public half.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// From 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> PrivateKey {
        PrivateKey(SigningKey::from_bytes(seed))
    }

    /// As [`written`](Self::written) gives it.
    pub fn parse(text: &str) -> Option<PrivateKey> {
        let bytes = BASE64.decode(text.trim().strip_prefix("ed25519-private:")?.as_bytes()).ok()?;
        let seed: [u8; 32] = bytes.try_into().ok()?;
        Some(PrivateKey::from_seed(&seed))
    }

    /// For its file.
    pub fn written(&self) -> String {
        format!("ed25519-private:{}\n", BASE64.encode(self.0.as_bytes()))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.0)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().id())
    }
}

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub name: String,
    /// Grows with every bundle; a lower one is never accepted again.
    pub version: u64,
    /// Seconds since 1970 before which it is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    pub documents: Vec<BundledFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundledFile {
    pub file: String,
    pub text: String,
}

/// The file as it travels. The payload is signed as it stands, so nothing depends on how JSON is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    format: String,
    key: String,
    payload: String,
    signature: String,
}

/// Why a file is no bundle that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("this is no policy bundle")]
    Unreadable,
    #[error("it is signed with the key {key}, which managed configuration does not trust")]
    UnknownKey { key: String },
    #[error("its signature does not fit: it was changed after it was signed")]
    BadSignature,
    #[error("a document in it can't be used: {0}")]
    Document(DocumentErrors),
    #[error("it holds no document")]
    Empty,
}

impl Bundle {
    /// The documents, read; each knows the file that it came from.
    pub fn read(&self) -> Result<Vec<Document>, BundleError> {
        let mut all = Vec::new();
        for file in &self.documents {
            all.extend(documents::parse(&file.text, &file.file).map_err(BundleError::Document)?);
        }
        if all.is_empty() { Err(BundleError::Empty) } else { Ok(all) }
    }

    /// The bundle as a file.
    pub fn signed(&self, key: &PrivateKey) -> String {
        let payload = serde_json::to_vec(self).unwrap_or_default();
        let signature = key.0.sign(&[CONTEXT, &payload].concat());
        let envelope = Envelope {
            format: FORMAT.into(),
            key: key.public().id(),
            payload: BASE64.encode(&payload),
            signature: BASE64.encode(&signature.to_bytes()),
        };
        serde_json::to_string_pretty(&envelope).unwrap_or_default() + "\n"
    }

    /// What tells two bundles of one version apart.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(&crate::digest(&serde_json::to_vec(self).unwrap_or_default()))
    }
}

/// Reads a file, and gives what it holds if one of the keys has signed it.
pub fn open(text: &str, keys: &[PublicKey]) -> Result<Bundle, BundleError> {
    if text.len() > MAX_BUNDLE {
        return Err(BundleError::Unreadable);
    }
    let envelope: Envelope = serde_json::from_str(text).map_err(|_| BundleError::Unreadable)?;
    let decoded = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| BundleError::Unreadable);
    let payload = decoded(&envelope.payload)?;
    let signature = decoded(&envelope.signature)?;
    if envelope.format != FORMAT {
        return Err(BundleError::Unreadable);
    }
    let Some(key) = keys.iter().find(|key| key.id() == envelope.key) else {
        return Err(BundleError::UnknownKey { key: envelope.key });
    };
    if !key.signed(&[CONTEXT, &payload].concat(), &signature) {
        return Err(BundleError::BadSignature);
    }
    let bundle: Bundle = serde_json::from_slice(&payload).map_err(|_| BundleError::Unreadable)?;
    bundle.read()?;
    Ok(bundle)
}

/// The bundle that was accepted last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    pub version: u64,
    pub digest: String,
}

impl Accepted {
    pub fn of(bundle: &Bundle) -> Accepted {
        Accepted { version: bundle.version, digest: bundle.digest() }
    }
}

/// Why a genuine bundle does not come into force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    #[error("it has version {version}, and version {accepted} was in force already: bundles never go back")]
    Older { version: u64, accepted: u64 },
    #[error(
        "another bundle of version {version} was in force already: give each bundle a version of its own"
    )]
    Forked { version: u64 },
    #[error("it comes into force later")]
    NotYet { at: u64 },
}

/// Whether a bundle may follow the one that was accepted last. `now` in seconds since 1970.
pub fn accept(bundle: &Bundle, last: Option<&Accepted>, now: u64) -> Result<(), NotAccepted> {
    let version = bundle.version;
    if let Some(last) = last {
        if version < last.version {
            return Err(NotAccepted::Older { version, accepted: last.version });
        }
        if version == last.version && bundle.digest() != last.digest {
            return Err(NotAccepted::Forked { version });
        }
    }
    match bundle.not_before {
        Some(at) if at > now => Err(NotAccepted::NotYet { at }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(version: u64, spec: &str) -> Bundle {
        let text =
            format!("apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec: {spec}\n");
        Bundle {
            name: "house".into(),
            version,
            not_before: None,
            documents: vec![BundledFile { file: "house.yaml".into(), text }],
        }
    }

    #[test]
    fn what_was_signed_is_read_and_nothing_else() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let other = PrivateKey::from_seed(&[8; 32]);
        let text = bundle(3, "{opaque: block}").signed(&key);
        let read = open(&text, &[other.public(), key.public()]).unwrap();
        assert_eq!(read, bundle(3, "{opaque: block}"));
        assert_eq!(read.read().unwrap()[0].name, "x");
        assert_eq!(open(&text, &[other.public()]), Err(BundleError::UnknownKey { key: key.public().id() }));
        assert_eq!(open(&text, &[]), Err(BundleError::UnknownKey { key: key.public().id() }));
        assert_eq!(open("{}", &[key.public()]), Err(BundleError::Unreadable));
        // Another bundle under this one's signature, and a forged name of the key.
        let swapped = bundle(9, "{opaque: allow}").signed(&other);
        let (mut ours, theirs): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&text).unwrap(), serde_json::from_str(&swapped).unwrap());
        ours["payload"] = theirs["payload"].clone();
        assert_eq!(open(&ours.to_string(), &[key.public()]), Err(BundleError::BadSignature));
        let mut renamed = theirs;
        renamed["key"] = key.public().id().into();
        assert_eq!(open(&renamed.to_string(), &[key.public()]), Err(BundleError::BadSignature));
    }

    #[test]
    fn a_bundle_with_a_bad_document_is_refused() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let error = open(&bundle(1, "{opaqe: block}").signed(&key), &[key.public()]).unwrap_err();
        assert!(error.to_string().contains("house.yaml:4:8: `opaqe` is not a key here"), "{error}");
        let none = Bundle { documents: Vec::new(), ..bundle(1, "{}") };
        assert_eq!(open(&none.signed(&key), &[key.public()]), Err(BundleError::Empty));
    }

    #[test]
    fn versions_never_go_back() {
        let last = Accepted::of(&bundle(5, "{opaque: block}"));
        for (version, spec, expected) in [
            (6, "{}", Ok(())),
            (5, "{opaque: block}", Ok(())),
            (5, "{opaque: allow}", Err(NotAccepted::Forked { version: 5 })),
            (4, "{opaque: block}", Err(NotAccepted::Older { version: 4, accepted: 5 })),
        ] {
            assert_eq!(accept(&bundle(version, spec), Some(&last), 100), expected, "{version} {spec}");
        }
        let later = Bundle { not_before: Some(200), ..bundle(6, "{}") };
        assert_eq!(accept(&later, Some(&last), 199), Err(NotAccepted::NotYet { at: 200 }));
        assert_eq!(accept(&later, None, 200), Ok(()));
    }

    #[test]
    fn keys_are_written_and_read() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let public = key.public();
        assert_eq!(PublicKey::parse(&public.to_string()), Some(public));
        assert_eq!(PrivateKey::parse(&key.written()).unwrap().public(), public);
        assert!(!format!("{key:?}").contains(&BASE64.encode(&[7; 32])));
        for bad in ["", "ed25519:", "ed25519:AAAA", "AAAA"] {
            assert_eq!(PublicKey::parse(bad), None, "{bad}");
        }
    }
}
