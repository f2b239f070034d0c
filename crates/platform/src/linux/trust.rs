//! Lists of roots as distributions lay them out, and the NSS databases of browsers.

use std::path::{Path, PathBuf};

use crate::trust::{StoreKind, StoreStatus, pem_file_holds};

/// Debian and Arch; Fedora and RHEL (new and old place); openSUSE; Alpine.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(crate) fn roots_file() -> Option<PathBuf> {
    BUNDLES.iter().map(PathBuf::from).find(|file| file.is_file())
}

pub(crate) fn bundle_text() -> Option<String> {
    std::fs::read_to_string(roots_file()?).ok()
}

pub(crate) fn trust_stores(home: &Path, root: &[u8]) -> Vec<StoreStatus> {
    let mut stores = Vec::new();
    if let Some(file) = roots_file() {
        stores.push(StoreStatus {
            kind: StoreKind::System,
            name: "the system's roots".into(),
            holds_root: pem_file_holds(&file, root),
            location: file,
        });
    }
    let chromium =
        [(".pki/nssdb", "Chromium and Chrome"), ("snap/chromium/current/.pki/nssdb", "Chromium (snap)")];
    for (folder, name) in chromium {
        stores.extend(nss(home.join(folder), name.to_owned(), root));
    }
    let firefox = [
        ".mozilla/firefox",
        "snap/firefox/common/.mozilla/firefox",
        ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ];
    for folder in firefox {
        let Ok(entries) = std::fs::read_dir(home.join(folder)) else { continue };
        let mut profiles: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        profiles.sort();
        for profile in profiles {
            let name = profile.file_name().unwrap_or_default().to_string_lossy().into_owned();
            stores.extend(nss(profile, format!("Firefox profile {name}"), root));
        }
    }
    stores
}

/// A certificate is one value in the SQLite file, so it stands there in one piece unless it spills to other pages,
/// which a root of some hundred bytes does not.
fn nss(folder: PathBuf, name: String, root: &[u8]) -> Option<StoreStatus> {
    let bytes = std::fs::read(folder.join("cert9.db")).ok()?;
    let holds_root = !root.is_empty() && bytes.windows(root.len()).any(|w| w == root);
    Some(StoreStatus { kind: StoreKind::Nss, name, location: folder, holds_root })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_databases_of_browsers() {
        let home = tempfile::tempdir().expect("temp");
        let profile = home.path().join(".mozilla/firefox/abc.default");
        std::fs::create_dir_all(&profile).expect("profile");
        std::fs::write(profile.join("cert9.db"), b"SQLite format 3\0....ROOT-BYTES....").expect("db");
        std::fs::create_dir_all(home.path().join(".mozilla/firefox/Crash Reports")).expect("no profile");
        let found: Vec<StoreStatus> = trust_stores(home.path(), b"ROOT-BYTES")
            .into_iter()
            .filter(|s| s.kind == StoreKind::Nss)
            .collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "Firefox profile abc.default");
        assert!(found[0].holds_root);
    }
}
