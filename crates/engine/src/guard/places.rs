//! Where an agent stands: its folder, the workspace, and where links lead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sallyport_policy::permissions::{Mention, Places};

/// Entries of a folder that are looked at for links, where a word may mean any of them.
const MAX_ENTRIES: usize = 4_096;

/// `workspace`: as configured; else the agent's own folder is it, unless that is the root or the whole home.
pub(super) fn of(cwd: Option<&Path>, workspace: Option<&Path>, home: &Path) -> Places {
    let text = |path: &Path| path.to_str().map(|path| path.trim_end_matches('/').to_owned());
    let own = cwd.filter(|cwd| *cwd != home && cwd.parent().is_some());
    let root = workspace.or(own);
    let mut workspaces: Vec<String> = root.and_then(text).into_iter().collect();
    workspaces.extend(root.and_then(|root| root.canonicalize().ok()).as_deref().and_then(text));
    workspaces.dedup();
    let cwd = cwd.or(workspace).unwrap_or(home);
    Places {
        cwd: text(cwd).unwrap_or_default(),
        home: text(home).unwrap_or_default(),
        workspaces,
        links: BTreeMap::new(),
    }
}

/// Where the words of a line lead that are links, or lead over one. That the agent's own folder, its workspace or its
/// home is reached over a link says nothing of a word.
pub(super) fn links(mentions: &[Mention], places: &Places) -> BTreeMap<String, Vec<String>> {
    let roots = places.workspaces.iter().chain([&places.cwd, &places.home]).filter(|root| root.len() > 1);
    let roots: Vec<(&String, String)> = roots.filter_map(|root| Some((root, follow(root)?))).collect();
    let expected = |path: &str, target: &str| {
        let same = |(root, real): &(&String, String)| {
            path.strip_prefix(root.as_str())
                .zip(target.strip_prefix(real.as_str()))
                .is_some_and(|(a, b)| a == b)
        };
        path == target || roots.iter().any(same)
    };
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut note = |path: &str, walked: &str| {
        if let Some(target) = follow(walked).filter(|target| !expected(path, target)) {
            let targets = links.entry(path.to_owned()).or_default();
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    };
    for mention in mentions {
        note(&mention.path, &mention.walked);
        if !mention.folder {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&mention.walked) else { continue };
        let entries = entries.take(MAX_ENTRIES).flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink())) {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let path = format!("{}/{name}", mention.path.trim_end_matches('/'));
            note(&path, &format!("{}/{name}", mention.walked));
        }
    }
    links
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
    use sallyport_policy::permissions::mentioned;

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

    #[cfg(unix)]
    #[test]
    fn links_among_the_words_of_a_line_are_found_and_plain_words_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let text = |part: &str| root.join(part).to_str().unwrap().to_owned();
        for part in ["p/sub", "out/deep", "real"] {
            std::fs::create_dir_all(root.join(part)).unwrap();
        }
        std::fs::write(root.join("out/secret"), "x").unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        link("../out/secret", "p/link");
        link("../out/deep", "p/dir");
        link("p", "home");
        // The agent works in a folder that it reaches over a link.
        let cwd = text("home");
        let places = Places { workspaces: vec![cwd.clone()], cwd, ..Places::default() };
        let found = |line: &str| links(&mentioned(&sallyport_detect::shell::parse(line), &places), &places);
        let leads = |line: &str, path: &str| found(line).remove(&text(path)).unwrap_or_default();
        assert_eq!(leads("cat link", "home/link"), [text("out/secret")]);
        assert_eq!(leads("tool --file=link", "home/link"), [text("out/secret")]);
        assert_eq!(leads("cat < link", "home/link"), [text("out/secret")]);
        assert_eq!(leads("cat li*", "home/link"), [text("out/secret")]);
        // The system goes up from where the link leads.
        assert_eq!(leads("cat dir/../secret", "home/secret"), [text("out/secret")]);
        assert_eq!(leads("cd dir && cat ../secret", "home/secret"), [text("out/secret")]);
        assert!(found("npm test sub ./sub nothing").is_empty(), "{:?}", found("npm test sub ./sub nothing"));
    }
}
