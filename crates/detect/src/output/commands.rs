//! Command lines: what each of their commands does to the machine, and what they do to each other.

mod alone;
mod gate;
mod interpreted;
mod spelt;
mod together;
mod words;

use sallyport_policy::Severity;
use sallyport_policy::shell::{ShellLine, SimpleCommand};

use crate::shell;

pub(super) use gate::may_hold;

type Judgement = (&'static str, Severity);

/// What is worst about a command line.
pub(super) fn judge(line: &str) -> Option<Judgement> {
    let line = without_prompt(line);
    // In prose a command in back quotes is what is warned of as often as what is advised.
    if warns(line) {
        return None;
    }
    if fork_bomb(line) {
        return Some(("fork_bomb", Severity::Critical));
    }
    let parsed = shell::parse(line);
    let hidden = spelt::spelt_out(line, &parsed).into_iter().chain(spelt::scripts(&parsed));
    let hidden: Vec<Judgement> = hidden.filter_map(|line| worst_of(&shell::parse(&line))).collect();
    hidden.into_iter().chain(worst_of(&parsed)).max_by_key(|judgement| judgement.1)
}

/// What is worst about commands that stand in one line.
fn worst_of(parsed: &ShellLine) -> Option<Judgement> {
    let mut worst: Option<Judgement> = None;
    let mut take = |judgement: Option<Judgement>| {
        if let Some(new) = judgement
            && worst.is_none_or(|old| new.1 > old.1)
        {
            worst = Some(new);
        }
    };
    for command in &parsed.commands {
        take(alone::judge(command, parsed.commands.len() == 1));
        take(alone::redirected(command));
        take(interpreted::judge(command));
    }
    take(together::judge(parsed));
    // In `a && b < c` the grammar gives the redirection to both; the shell gives it to the last.
    if let (Some(bare), Some(last)) =
        (parsed.commands.iter().find(|command| command.words.is_empty()), parsed.commands.last())
        && !bare.redirections.is_empty()
    {
        let redirections = bare.redirections.clone();
        take(alone::redirected(&SimpleCommand { redirections, ..last.clone() }));
    }
    worst
}

/// `$ rm x`, `root@host:~# rm x`, `> rm x`, `RUN rm x` of a Dockerfile, `- run: rm x` of a workflow.
fn without_prompt(line: &str) -> &str {
    let mut line = line.trim();
    for prompt in ["$ ", "# ", "% ", "> ", "RUN ", "- run: ", "run: ", "- ", "* ", "!", "CMD ", "ENTRYPOINT "]
    {
        if let Some(rest) = line.strip_prefix(prompt) {
            // `# rm x` is a comment unless it is a root shell's prompt, which can't be told: comments are more.
            if prompt == "# " {
                return "";
            }
            // A redirection without a command empties its file; a quotation mark of prose is followed by a word.
            if prompt == "> " && rest.starts_with(['/', '~', '$', '.']) {
                continue;
            }
            line = rest;
        }
    }
    line
}

fn warns(line: &str) -> bool {
    let prose = line.contains('`')
        || line.split(' ').take(3).any(|word| word.ends_with([',', ':', '.']) && word.len() > 3);
    let lower = line.to_ascii_lowercase();
    let negates =
        ["never ", "don't ", "do not ", "avoid ", "dangerous", "warning", "beware", "instead of", "careful"];
    prose && negates.iter().any(|word| lower.contains(word))
}

/// A function that pipes itself into itself in the background, whatever its name.
fn fork_bomb(line: &str) -> bool {
    let squeezed: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    let defined = squeezed.match_indices("(){").any(|(at, _)| {
        let before = squeezed.get(..at).unwrap_or_default();
        let name = before.rsplit([';', '&', '|', '{', '(', '"', '\'']).next().unwrap_or_default();
        let name = name.strip_prefix("function").unwrap_or(name);
        let body = squeezed.get(at + 3..).unwrap_or_default();
        !name.is_empty()
            && (body.starts_with(&format!("{name}|{name}&"))
                || body.starts_with(&format!("{name}&{name}"))
                || body.starts_with(&format!("{name}|{name}|")))
    });
    defined
        || squeezed.contains("%0|%0")
        || squeezed.contains("forkwhilefork")
        || (squeezed.contains("whileTrue:os.fork()") || squeezed.contains("while1:os.fork()"))
        || ["whiletrue;do$0&", "while:;do$0&", "whiletrue;dobash$0&", "./$0|./$0&", "./$0&./$0&"]
            .iter()
            .any(|form| squeezed.contains(form))
}
