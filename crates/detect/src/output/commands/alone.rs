//! What one command does by itself: to files, disks, records, permissions, infrastructure, data.

mod disks;
mod files;
mod infrastructure;
mod machine;
mod network;

use sallyport_policy::shell::SimpleCommand;

use super::Judgement;
use super::words::{targets, words};
pub(super) use network::redirected;

/// One command as these judgements read it.
struct One<'c> {
    command: &'c SimpleCommand,
    /// The program that runs: what busybox is asked for, too.
    name: &'c str,
    /// All of its words.
    text: &'c str,
    /// Nothing else stands in the line.
    only: bool,
}

/// What one command does by itself. `only`: nothing else stands in the line. Each program is known to one of these.
pub(super) fn judge(command: &SimpleCommand, only: bool) -> Option<Judgement> {
    let text = words(command).join(" ");
    let name = command.name();
    let name = if name == "busybox" { targets(command).next().unwrap_or_default() } else { name };
    let one = One { command, name, text: &text, only };
    let kinds = [
        files::files,
        disks::disks,
        machine::permissions,
        machine::records,
        machine::protection,
        infrastructure::clusters,
        infrastructure::clouds,
        infrastructure::data,
        network::network,
    ];
    kinds.iter().find_map(|judge| judge(&one))
}
