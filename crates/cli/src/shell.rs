//! How each shell spells a variable: set, unset, quoted so that no value can become a command.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    #[value(alias = "sh")]
    Bash,
    Zsh,
    Fish,
    #[value(alias = "pwsh")]
    Powershell,
}

impl Shell {
    /// The shell that `$SHELL` names; POSIX spelling when it names none that we know.
    pub(crate) fn from_path(shell: Option<&str>) -> Shell {
        let name = shell.and_then(|s| s.rsplit(['/', '\\']).next()).unwrap_or_default();
        match name.trim_end_matches(".exe") {
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            "pwsh" | "powershell" => Shell::Powershell,
            _ => Shell::Bash,
        }
    }

    pub(crate) fn set(self, name: &str, value: &str) -> String {
        let quoted = self.quote(value);
        match self {
            Shell::Bash | Shell::Zsh => format!("export {name}={quoted}"),
            Shell::Fish => format!("set -gx {name} {quoted}"),
            Shell::Powershell => format!("$Env:{name} = {quoted}"),
        }
    }

    pub(crate) fn unset(self, name: &str) -> String {
        match self {
            Shell::Bash | Shell::Zsh => format!("unset {name}"),
            Shell::Fish => format!("set -e {name}"),
            Shell::Powershell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue"),
        }
    }

    /// The line that a person types to take the variables over.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Shell::Bash | Shell::Zsh => "eval \"$(sallyport env)\"",
            Shell::Fish => "sallyport env --shell fish | source",
            Shell::Powershell => "sallyport env --shell powershell | Out-String | Invoke-Expression",
        }
    }

    fn quote(self, value: &str) -> String {
        match self {
            Shell::Bash | Shell::Zsh => format!("'{}'", value.replace('\'', r"'\''")),
            Shell::Fish => format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
            // PowerShell takes the typographic quotes for quotes as well.
            Shell::Powershell => {
                let mut quoted = String::from("'");
                for c in value.chars() {
                    if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
                        quoted.push(c);
                    }
                    quoted.push(c);
                }
                quoted.push('\'');
                quoted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_become_commands() {
        let nasty = "a'b\"c $(id) \\ `x`";
        assert_eq!(Shell::Bash.set("N", nasty), r#"export N='a'\''b"c $(id) \ `x`'"#);
        assert_eq!(Shell::Fish.set("N", nasty), r#"set -gx N 'a\'b"c $(id) \\ `x`'"#);
        assert_eq!(Shell::Powershell.set("N", nasty), r#"$Env:N = 'a''b"c $(id) \ `x`'"#);
        assert_eq!(Shell::Powershell.set("N", "a\u{2019}b"), "$Env:N = 'a\u{2019}\u{2019}b'");
    }

    #[test]
    fn bash_reads_back_what_was_quoted() {
        let nasty = "a'b\"c $(id) \\ `x`\nsecond line";
        let script = format!("{}\nprintf %s \"$N\"", Shell::Bash.set("N", nasty));
        let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), nasty);
    }

    #[test]
    fn the_shell_is_found_by_its_path() {
        assert_eq!(Shell::from_path(Some("/usr/bin/zsh")), Shell::Zsh);
        assert_eq!(Shell::from_path(Some("/usr/bin/fish")), Shell::Fish);
        assert_eq!(Shell::from_path(Some("C:\\x\\pwsh.exe")), Shell::Powershell);
        assert_eq!(Shell::from_path(Some("/bin/dash")), Shell::Bash);
        assert_eq!(Shell::from_path(None), Shell::Bash);
    }
}
