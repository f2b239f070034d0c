//! Whether git leaves a file alone: ignored by a rule, and not in the index all the same.
//!
//! Reads files and starts nothing: `git` itself runs what a repository's configuration names. In doubt a file is not
//! ignored.

use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use sallyport_platform::fs::read_bounded;

/// Longer lists of rules are not read.
const MAX_RULES: u64 = 1 << 20;
/// A longer index is not searched.
const MAX_INDEX: u64 = 256 << 20;

/// `path`: absolute, without `..` and links.
pub(super) fn is_ignored(path: &Path) -> bool {
    let Some(root) = path.ancestors().skip(1).find(|folder| folder.join(".git").exists()) else {
        return false;
    };
    let Ok(inner) = path.strip_prefix(root) else { return false };
    let Some(git) = git_folder(root) else { return false };
    is_ruled_out(root, inner, &git) && !is_tracked(inner, &git)
}

/// Where git keeps what belongs to this checkout.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    // Of a submodule or a second worktree it is elsewhere.
    let text = read_text(&git)?;
    Some(root.join(text.trim().strip_prefix("gitdir:")?.trim()))
}

fn read_text(file: &Path) -> Option<String> {
    let bytes = read_bounded(file, MAX_RULES).ok()??;
    std::str::from_utf8(&bytes).ok().map(str::to_owned)
}

/// The deepest rule counts, and what stands below an ignored folder can't come back.
fn is_ruled_out(root: &Path, inner: &Path, git: &Path) -> bool {
    let mut lists: Vec<Gitignore> = Vec::new();
    lists.extend(Some(Gitignore::global().0));
    lists.extend(list(root, &git.join("info/exclude")));
    let mut folder = root.to_owned();
    let steps = inner.components().count();
    for (number, step) in (1..).zip(inner.components()) {
        lists.extend(list(&folder, &folder.join(".gitignore")));
        folder.push(step);
        let folders = number < steps;
        let word = lists.iter().rev().map(|list| list.matched(&folder, folders)).find(|word| !word.is_none());
        if word.is_some_and(|word| word.is_ignore()) {
            return true;
        }
    }
    false
}

fn list(root: &Path, file: &Path) -> Option<Gitignore> {
    let text = read_text(file)?;
    let mut rules = GitignoreBuilder::new(root);
    for line in text.trim_start_matches('\u{feff}').lines() {
        // Git passes over a rule that it can't read, too.
        let _ = rules.add_line(None, line);
    }
    rules.build().ok()
}

/// An index that can't be searched by names counts as one that holds the file.
fn is_tracked(inner: &Path, git: &Path) -> bool {
    let file = git.join("index");
    if !file.exists() {
        return false;
    }
    let Some((index, name)) = read_bounded(&file, MAX_INDEX).ok().flatten().zip(inner.to_str()) else {
        return true;
    };
    // Version 4 leaves out what a name shares with the one before; a split index keeps names elsewhere.
    let readable = index.starts_with(b"DIRC\0\0\0\x02") || index.starts_with(b"DIRC\0\0\0\x03");
    let name = name.replace('\\', "/");
    let holds = |text: &[u8]| memchr::memmem::find(&index, text).is_some();
    !readable || holds(b"link\0") || holds(&[name.as_bytes(), b"\0"].concat())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn git(root: &Path, arguments: &[&str]) -> bool {
        let fixed = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "core.excludesFile="];
        let run = Command::new("git").arg("-C").arg(root).args(fixed).args(arguments).output().unwrap();
        run.status.success()
    }

    /// Git's own word, for each kind of rule.
    #[test]
    fn it_agrees_with_git() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        assert!(git(&root, &["init", "-q"]));
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(".gitignore", "\u{feff}.env*\n!.env.example\n/top\nout/\n*.key\n# .plain\n\\#odd\n");
        write("sub/.gitignore", "!kept.key\nlocal\n");
        write("out/.gitignore", "!back\n");
        write(".git/info/exclude", "mine\n");
        let files = [
            ".env",
            ".env.local",
            ".env.example",
            "sub/.env",
            "top",
            "sub/top",
            "out/back",
            "sub/out/x",
            "a.key",
            "sub/kept.key",
            "sub/local",
            "local",
            "mine",
            "sub/mine",
            ".plain",
            "#odd",
            "forced.key",
        ];
        files.iter().for_each(|file| write(file, "x"));
        assert!(git(&root, &["add", "-f", "forced.key"]));
        let mut ignored = 0;
        for file in files {
            let expected = git(&root, &["check-ignore", "-q", "--", file]);
            assert_eq!(is_ignored(&root.join(file)), expected, "{file}");
            ignored += usize::from(expected);
        }
        assert!(ignored >= 9, "{ignored}");
        // What can't be searched holds everything.
        assert!(git(&root, &["update-index", "--index-version", "4"]));
        assert!(!is_ignored(&root.join(".env")));
    }

    #[test]
    fn outside_of_a_repository_nothing_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".gitignore"), "*\n").unwrap();
        std::fs::write(folder.path().join(".env"), "x").unwrap();
        assert!(!is_ignored(&folder.path().canonicalize().unwrap().join(".env")));
    }

    /// Whoever made the repository may have put a pipe there, which nobody writes into.
    #[cfg(unix)]
    #[test]
    fn a_pipe_for_a_list_of_rules_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        assert!(git(&root, &["init", "-q"]));
        assert!(Command::new("mkfifo").arg(root.join(".gitignore")).status().unwrap().success());
        std::fs::write(root.join(".env"), "x").unwrap();
        assert!(!is_ignored(&root.join(".env")));
    }

    #[test]
    fn a_second_worktree_has_its_own_index() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (first, second) = (root.join("first"), root.join("second"));
        std::fs::create_dir(&first).unwrap();
        assert!(git(&first, &["init", "-q"]));
        std::fs::write(first.join(".gitignore"), ".env\n").unwrap();
        assert!(git(&first, &["add", "."]) && git(&first, &["commit", "-qm", "a"]));
        assert!(git(&first, &["worktree", "add", "-q", second.to_str().unwrap()]));
        std::fs::write(second.join(".env"), "x").unwrap();
        assert!(is_ignored(&second.join(".env")));
        assert!(git(&second, &["add", "-f", ".env"]));
        assert!(!is_ignored(&second.join(".env")));
    }
}
