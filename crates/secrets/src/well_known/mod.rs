//! Files in the home folder where tools keep credentials. A file that is missing is no error; one that is there and
//! cannot be read is a warning.

mod cloud;
mod registries;

use std::path::{Path, PathBuf};

use sallyport_platform::fs::read_bounded;

use crate::collect::Collector;
use crate::report::{ProblemCode, SourceError, SourceId, SourceKind, SourceReport};
use crate::{Judge, files, pem};

const MAX_FILE: u64 = 1 << 20;
const MAX_SSH_FILES: usize = 200;

/// Takes the credentials out of one file's text.
type Parse = fn(text: &str, collector: &mut Collector);

/// Below the home folder.
const FILES: [(&str, Parse); 14] = [
    (".aws/credentials", cloud::aws),
    (".aws/config", cloud::aws),
    (".config/gcloud/application_default_credentials.json", cloud::gcloud),
    (".config/gh/hosts.yml", registries::gh),
    (".config/git/credentials", registries::git_credentials),
    (".config/pip/pip.conf", registries::urls),
    (".docker/config.json", registries::docker),
    (".git-credentials", registries::git_credentials),
    (".kube/config", cloud::kube),
    (".netrc", registries::netrc),
    ("_netrc", registries::netrc),
    (".npmrc", registries::npmrc),
    (".pypirc", registries::pypirc),
    (".cargo/credentials.toml", registries::cargo),
];

pub(crate) fn load(home: &Path, judge: Judge) -> SourceReport {
    let mut collector = Collector::new(judge);
    let mut warnings = Vec::new();
    for (file, parse) in FILES {
        if let Some(text) = read(&home.join(file), &mut warnings) {
            parse(&text, &mut collector);
        }
    }
    for file in ssh_files(home) {
        if let Some(text) = read(&file, &mut warnings) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            for key in pem::private_keys(&text) {
                collector.add(&format!("ssh/{name}"), key.as_bytes());
            }
        }
    }
    let (secrets, skipped_short) = collector.finish();
    SourceReport {
        dated: Vec::new(),
        id: SourceId::new(SourceKind::WellKnown, ""),
        kind: SourceKind::WellKnown,
        location: format!("credential files of tools in {}", home.display()),
        result: Ok(secrets),
        skipped_short,
        warnings,
    }
}

fn read(path: &Path, warnings: &mut Vec<SourceError>) -> Option<zeroize::Zeroizing<String>> {
    match read_bounded(path, MAX_FILE) {
        Ok(bytes) => files::text(bytes?),
        Err(e) => {
            warnings.push(SourceError::new(
                ProblemCode::FileUnreadable,
                format!("{} cannot be read: {}.", path.display(), files::cause(&e)),
                "Its secrets are recognised by rules only; make it readable if they matter.",
            ));
            None
        }
    }
}

/// Every file beside the public ones: keys are not always named `id_*`.
fn ssh_files(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(home.join(".ssh")) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let public =
                name.ends_with(".pub") || name.starts_with("known_hosts") || name == "authorized_keys";
            !public && path.is_file()
        })
        .collect();
    found.sort();
    found.truncate(MAX_SSH_FILES);
    found
}

/// Sections of an INI file: section, key, value.
fn ini(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut section = "";
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.trim();
            return None;
        }
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = line.split_once('=')?;
        Some((section, key.trim(), value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::judge;

    #[test]
    fn reads_a_home_folder() {
        let home = tempfile::tempdir().expect("temp");
        let write = |path: &str, text: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folders");
            std::fs::write(path, text).expect("file");
        };
        assert_eq!(load(home.path(), judge()).count(), 0);
        write(".aws/credentials", "[default]\naws_secret_access_key = wJalr-made-up-aws-key\n");
        write(".netrc", "machine git.example login ada password net-rc-made-up\n");
        write(
            ".ssh/id_ed25519",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nmadeupmadeupmadeupmadeup\n-----END OPENSSH PRIVATE KEY-----\n",
        );
        write(".ssh/id_ed25519.pub", "ssh-ed25519 AAAA ada@example\n");
        write(".ssh/config", "Host *\n");
        let report = load(home.path(), judge());
        assert_eq!(
            report.names().collect::<Vec<_>>(),
            ["aws/default/aws_secret_access_key", "netrc/git.example", "ssh/id_ed25519"]
        );
        assert!(report.warnings.is_empty());
    }

    #[test]
    fn sections() {
        let found: Vec<_> = ini("a=0\n[ one ]\nk = v=w\n; c=1\n# d=2\nnoise\n[two]\nk=").collect();
        assert_eq!(found, [("", "a", "0"), ("one", "k", "v=w"), ("two", "k", "")]);
    }
}
