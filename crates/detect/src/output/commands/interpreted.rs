//! Programs that are given to an interpreter as text.

use sallyport_policy::Severity;
use sallyport_policy::shell::SimpleCommand;

use super::Judgement;
use super::words::words;

use Severity::Critical;

/// Programs given as text to an interpreter.
pub(super) fn judge(command: &SimpleCommand) -> Option<Judgement> {
    let name = command.name();
    let interpreter =
        ["python", "perl", "ruby", "php", "node", "lua", "awk", "gawk", "deno", "bun", "rscript"]
            .iter()
            .any(|known| name.starts_with(known));
    if !interpreter {
        return None;
    }
    let text = words(command).join(" ");
    let lower = text.to_ascii_lowercase();
    let network =
        ["socket", "fsockopen", "tcpsocket", "/inet/tcp", "net.socket", "net.connect", "io::socket"]
            .iter()
            .any(|word| lower.contains(word));
    let shell = [
        "/bin/sh",
        "/bin/bash",
        "pty.spawn",
        "subprocess",
        "exec(",
        "child_process",
        "cmd.exe",
        "dup2",
        "\"sh\"",
        "'sh'",
        "getline",
        "sh -i",
    ]
    .iter()
    .any(|word| lower.contains(word));
    if network && shell {
        return Some(("reverse_shell", Critical));
    }
    let removes = ["rmtree(", "rmsync(", "rm_rf", "rm_r(", "unlink", "removeall("]
        .iter()
        .any(|word| lower.contains(word));
    let vital = [
        "'/'",
        "\"/\"",
        "'/home",
        "\"/home",
        "'/etc",
        "\"/etc",
        "'~",
        "\"~",
        "expanduser",
        "</*>",
        "homedir()",
        "'/usr",
        "\"/usr",
        "'/var/",
        "\"/var/",
        ".home()",
    ]
    .iter()
    .any(|word| lower.contains(word));
    if removes && vital {
        return Some(("destroys_files", Critical));
    }
    let fetches = [
        "urlopen(",
        "requests.get(",
        "lwp::simple",
        "open-uri",
        "urllib",
        "file_get_contents('http",
        "file_get_contents(\"http",
        "fetch(",
    ]
    .iter()
    .any(|word| lower.contains(word));
    let runs = ["exec(", "eval(", "system(", "eval ", "subprocess", "popen("]
        .iter()
        .any(|word| lower.contains(word));
    if fetches && runs {
        return Some(("downloads_and_runs", Critical));
    }
    let given = ["$(curl ", "$(wget ", "`curl ", "`wget "].iter().any(|word| lower.contains(word));
    if given && command.arguments().iter().any(|word| matches!(word.text.as_str(), "-c" | "-e" | "-r")) {
        return Some(("downloads_and_runs", Critical));
    }
    let encoded = lower.contains("b64decode(")
        || lower.contains("base64_decode(")
        || lower.contains("frombase64")
        || lower.contains("decode_base64");
    if encoded && runs {
        return Some(("runs_encoded_code", Severity::High));
    }
    // As one command, however the language makes it of its words.
    let bare = lower.replace(['"', '\'', ',', '[', ']', '(', ')', '+'], " ");
    let bare = bare.split_whitespace().collect::<Vec<_>>().join(" ");
    let rm = ["rm -rf /", "rm -rf ~"].iter().any(|word| lower.contains(word))
        || ["rm -rf / ", "rm -rf ~ "].iter().any(|word| format!("{bare} ").contains(word));
    rm.then_some(("destroys_files", Critical))
}
