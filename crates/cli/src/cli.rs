//! The commands and their help, as one table that parsing, completions and the man page share.

use clap::{Parser, Subcommand};

use crate::commands;

/// Says what every `--help` says about exit codes.
pub(crate) const EXIT_CODES: &str = "Exit codes:\n  0  done, or the answer is yes\n  1  a finding, or the answer is no, or it could not be done\n  2  the command line was not understood\n  3  the engine is not reachable";

#[derive(Debug, Parser)]
#[command(
    name = "sallyport",
    version,
    about = "Checks what AI tools send before it leaves this machine",
    long_about = "Sallyport stands between this machine's AI tools and their providers. It takes secrets out of what is sent, and keeps a record that shows tampering.",
    after_help = format!("Start:\n  sallyport daemon                  run the engine in this terminal\n  sallyport exec -- claude          run one tool through it\n  eval \"$(sallyport env)\"           lead everything in this shell through it\n  sallyport status                  see what it does\n\n{EXIT_CODES}\n\nEnvironment:\n  SALLYPORT_HOME  keep all files under this folder (config/, state/, run/)\n  SALLYPORT_LOG   what to log to stderr, such as debug or sallyport_engine=debug"),
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Daemon(commands::daemon::Args),
    Status(commands::status::Args),
    On(commands::switch::OnArgs),
    Off(commands::switch::OffArgs),
    Env(commands::env::Args),
    Exec(commands::exec::Args),
    Flows(commands::flows::Args),
    SelfTest(commands::self_test::Args),
    Doctor(commands::doctor::Args),
    Ca(commands::ca::Args),
    Trust(commands::trust::Args),
    Secrets(commands::secrets::Args),
    Elevate(commands::elevate::Args),
    Scan(commands::scan::Args),
    Audit(commands::audit::Args),
    Policy(commands::policy::Args),
    Quota(commands::quota::Args),
    Assess(commands::assess::Args),
    Rules(commands::rules::Args),
    Allow(commands::allow::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command that a person can see, with its full name; `help` is clap's own.
    fn visible() -> Vec<(String, clap::Command)> {
        fn collect(command: clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
            for child in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
                collect(child.clone(), &format!("{path} {}", child.get_name()), found);
            }
            found.push((path.to_owned(), command));
        }
        let mut root = Cli::command().term_width(100);
        root.build();
        let mut found = Vec::new();
        collect(root, "sallyport", &mut found);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_reads_as_meant() {
        for (path, mut command) in visible() {
            let help = command.render_long_help().to_string();
            insta::assert_snapshot!(path.replace(' ', "-"), help);
        }
    }

    #[test]
    fn every_help_teaches_by_example_and_says_exit_codes() {
        for (path, mut command) in visible() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example") || help.contains("Start:"), "{path} has no example");
            assert!(help.contains("Exit codes:"), "{path} says no exit codes");
        }
    }

    #[test]
    fn no_example_is_broken_by_the_width_of_the_help() {
        for (path, command) in visible() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in after.lines() {
                assert!(line.chars().count() <= 100, "{path}: {line}");
            }
        }
    }

    #[test]
    fn every_reading_command_speaks_json() {
        let acting = [
            "daemon",
            "exec",
            "export",
            "completions",
            "man",
            "add",
            "remove",
            "schema",
            "keygen",
            "sign",
            "install",
            "new",
            "answer",
            "approve",
            "key",
            "actions",
        ];
        for (path, command) in visible() {
            let leaf = !command.has_subcommands();
            if leaf && !acting.contains(&command.get_name()) {
                assert!(command.get_arguments().any(|a| a.get_id() == "json"), "{path} has no --json");
            }
        }
    }

    #[test]
    fn help_can_be_asked_for_by_name() {
        let error = Cli::command().try_get_matches_from(["sallyport", "help", "audit", "query"]).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp);
        assert!(error.to_string().contains("--since"), "{error}");
    }

    #[test]
    fn no_command_shadows_the_engines_loader() {
        let taken = visible().iter().any(|(_, c)| c.get_name() == sallyport_engine::loader::CHILD_ARGUMENT);
        assert!(!taken);
    }
}
