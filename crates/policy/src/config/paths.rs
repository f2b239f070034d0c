//! Paths of a configuration, made absolute.

use std::path::{Path, PathBuf};

use super::{Config, VaultAuth};

/// Expands `~` and counts relative paths from the config folder. Looks at no file.
pub fn resolve_paths(config: &mut Config, home: &Path, config_dir: &Path) {
    let absolute = |path: &mut PathBuf| {
        *path = match path.strip_prefix("~") {
            Ok(rest) => home.join(rest),
            Err(_) => config_dir.join(&*path),
        };
    };
    let Config { upstream, secrets, policies, agents, quotas, .. } = config;
    upstream.extra_roots.iter_mut().for_each(absolute);
    secrets.files.iter_mut().for_each(absolute);
    secrets.workspaces.iter_mut().for_each(absolute);
    policies.iter_mut().for_each(absolute);
    agents.workspace.iter_mut().for_each(absolute);
    quotas.password_file.iter_mut().chain(&mut quotas.ca).for_each(absolute);
    for vault in &mut secrets.vaults {
        vault.ca.iter_mut().for_each(absolute);
        match &mut vault.auth {
            VaultAuth::Token { token_file: file }
            | VaultAuth::Approle { secret_id_file: file, .. }
            | VaultAuth::Userpass { password_file: file, .. }
            | VaultAuth::Jwt { jwt_file: file, .. }
            | VaultAuth::Kubernetes { jwt_file: file, .. } => absolute(file),
        }
    }
}
