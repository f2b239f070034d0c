//! The lines in a shell's start-up file that lead every new shell through Sallyport: shown before they are written, marked, and taken
//! out again as they were put in. Touches nothing else of the file.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

const BEGIN: &str = "# >>> sallyport >>>";
const END: &str = "# <<< sallyport <<<";

/// What the first run shows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ShellSetup {
    shell: &'static str,
    /// As the person knows it: `~/.bashrc`.
    file: String,
    line: String,
    added: bool,
}

/// A shell's start-up file and our line in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Startup {
    shell: &'static str,
    home: PathBuf,
    file: PathBuf,
    line: String,
}

impl Startup {
    /// For the shell that `$SHELL` names; none for one that we don't know. `program` as a shell would call it.
    pub(crate) fn of(shell: &str, home: &Path, program: &str) -> Option<Startup> {
        let name = Path::new(shell).file_name()?.to_str()?;
        let evaluated = |shell: &str| format!("eval \"$({program} env --shell {shell} 2>/dev/null)\"");
        let (shell, file, line) = match name {
            "bash" => ("bash", ".bashrc", evaluated("bash")),
            "zsh" => ("zsh", ".zshrc", evaluated("zsh")),
            "fish" => (
                "fish",
                ".config/fish/conf.d/sallyport.fish",
                format!("{program} env --shell fish 2>/dev/null | source"),
            ),
            _ => return None,
        };
        Some(Startup { shell, home: home.to_owned(), file: home.join(file), line })
    }

    pub(crate) fn seen(&self) -> io::Result<ShellSetup> {
        let shown = self.file.strip_prefix(&self.home).unwrap_or(&self.file);
        Ok(ShellSetup {
            shell: self.shell,
            file: format!("~/{}", shown.display()),
            line: self.line.clone(),
            added: without(&self.read()?).is_some(),
        })
    }

    /// Puts the lines at the end, or takes them out. Twice is as good as once.
    pub(crate) fn change(&self, add: bool) -> io::Result<ShellSetup> {
        let text = self.read()?;
        let bare = without(&text);
        match (add, bare) {
            (true, None) => {
                let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                self.write(&format!("{text}{gap}{BEGIN}\n{}\n{END}\n", self.line))?;
            }
            // A file of our own goes with its last line.
            (false, Some(bare)) if bare.is_empty() => std::fs::remove_file(&self.file)?,
            (false, Some(bare)) => self.write(&bare)?,
            (true, Some(_)) | (false, None) => {}
        }
        self.seen()
    }

    fn read(&self) -> io::Result<String> {
        match std::fs::read_to_string(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }

    /// Whole or not at all; a link stays a link, and permissions stay as they are.
    fn write(&self, text: &str) -> io::Result<()> {
        let Ok(file) = std::fs::canonicalize(&self.file) else {
            if let Some(folder) = self.file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            return std::fs::write(&self.file, text);
        };
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".sallyport-new");
        let new = file.with_file_name(name);
        std::fs::write(&new, text)?;
        std::fs::set_permissions(&new, std::fs::metadata(&file)?.permissions())?;
        std::fs::rename(&new, &file)
    }
}

/// The text without our lines; none if they are not in it. A beginning without an end is left alone.
fn without(text: &str) -> Option<String> {
    let start = text.find(BEGIN)?;
    let end = start + text.get(start..)?.find(END)? + END.len();
    let rest = text.get(end..)?;
    Some(format!("{}{}", text.get(..start)?, rest.strip_prefix('\n').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(shell: &str) -> (tempfile::TempDir, Startup) {
        let home = tempfile::tempdir().unwrap();
        let startup = Startup::of(shell, home.path(), "sallyport").unwrap();
        (home, startup)
    }

    #[test]
    fn lines_come_and_go_and_the_rest_stays() {
        for before in ["", "alias ll='ls -l'\n", "no newline at the end"] {
            let (home, startup) = startup("/bin/bash");
            let file = home.path().join(".bashrc");
            if !before.is_empty() {
                std::fs::write(&file, before).unwrap();
            }
            assert!(!startup.seen().unwrap().added);
            for _ in 0..2 {
                let added = startup.change(true).unwrap();
                assert!(added.added && added.file == "~/.bashrc");
                let text = std::fs::read_to_string(&file).unwrap();
                assert!(text.starts_with(before), "{text}");
                assert_eq!(text.matches(&added.line).count(), 1, "{text}");
            }
            for _ in 0..2 {
                assert!(!startup.change(false).unwrap().added);
            }
            let after = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(after.trim_end(), before.trim_end());
            assert_eq!(file.exists(), !before.is_empty());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let (home, startup) = startup("/usr/bin/zsh");
        let real = home.path().join("dotfiles-zshrc");
        std::fs::write(&real, "x\n").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, home.path().join(".zshrc")).unwrap();
        startup.change(true).unwrap();
        assert!(home.path().join(".zshrc").is_symlink());
        assert!(std::fs::read_to_string(&real).unwrap().contains("sallyport env --shell zsh"));
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn fish_has_a_file_of_its_own_and_other_shells_none() {
        let (home, startup) = startup("fish");
        assert!(startup.change(true).unwrap().line.ends_with("| source"));
        let file = home.path().join(".config/fish/conf.d/sallyport.fish");
        assert!(file.exists());
        startup.change(false).unwrap();
        assert!(!file.exists());
        assert_eq!(Startup::of("/bin/csh", home.path(), "sallyport"), None);
        assert_eq!(Startup::of("", home.path(), "sallyport"), None);
    }

    #[test]
    fn a_beginning_without_an_end_is_left_alone() {
        assert_eq!(without(&format!("a\n{BEGIN}\nb\n")), None);
        assert_eq!(without(&format!("a\n{BEGIN}\nb\n{END}\nc\n")).unwrap(), "a\nc\n");
    }
}
