//! Where an agent stands: its folder, the workspace, and where links lead.

use std::path::{Path, PathBuf};

use sallyport_policy::permissions::Places;

/// `workspace`: as configured; else the agent's own folder is it, unless that is the root or the whole home.
pub(super) fn of(cwd: Option<&Path>, workspace: Option<&Path>, home: &Path) -> Places {
    let text = |path: &Path| path.to_str().map(|path| path.trim_end_matches('/').to_owned());
    let own = cwd.filter(|cwd| *cwd != home && cwd.parent().is_some());
    let root = workspace.or(own);
    let mut workspaces: Vec<String> = root.and_then(text).into_iter().collect();
    workspaces.extend(root.and_then(|root| root.canonicalize().ok()).as_deref().and_then(text));
    workspaces.dedup();
    let cwd = cwd.or(workspace).unwrap_or(home);
    Places { cwd: text(cwd).unwrap_or_default(), home: text(home).unwrap_or_default(), workspaces }
}

/// Where a path leads when every link on it is followed. What is not there yet keeps its name.
pub(super) fn follow(path: &str) -> Option<String> {
    let path = Path::new(path);
    let mut there = path;
    let mut rest: Vec<&std::ffi::OsStr> = Vec::new();
    loop {
        if let Ok(real) = there.canonicalize() {
            let whole: PathBuf = rest.iter().rev().fold(real, |whole, part| whole.join(part));
            return whole.to_str().map(str::to_owned);
        }
        // A link that leads to nothing yet would still be written through.
        if let Ok(target) = there.read_link() {
            let whole = there.parent().unwrap_or(Path::new("/")).join(target);
            return whole.to_str().map(str::to_owned);
        }
        rest.push(there.file_name()?);
        there = there.parent()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_folder_is_the_workspace_where_none_is_configured() {
        let home = Path::new("/home/nobody-here");
        let places = |cwd: Option<&str>, workspace: Option<&str>| {
            of(cwd.map(Path::new), workspace.map(Path::new), home)
        };
        assert_eq!(places(Some("/w/p"), None).workspaces, ["/w/p"]);
        assert_eq!(places(Some("/w/p"), Some("/w")).workspaces, ["/w"]);
        assert_eq!(places(Some("/w/p"), Some("/w")).cwd, "/w/p");
        assert!(places(Some("/"), None).workspaces.is_empty());
        assert!(places(Some("/home/nobody-here"), None).workspaces.is_empty());
        assert_eq!(places(None, Some("/w")).cwd, "/w");
        assert_eq!(places(None, None).cwd, "/home/nobody-here");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_even_where_they_lead_to_nothing_yet() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        link("real", "dir");
        link("missing", "dangling");
        let at = |name: &str| follow(root.join(name).to_str().unwrap()).unwrap();
        let of = |name: &str| root.join(name).to_str().unwrap().to_owned();
        assert_eq!(at("dir/new/file"), of("real/new/file"));
        assert_eq!(at("dangling"), of("missing"));
        assert_eq!(at("plain"), of("plain"));
    }
}
