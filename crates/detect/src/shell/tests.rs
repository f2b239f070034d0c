//! What a line runs, as the shell would run it.

use proptest::prelude::*;

use super::*;

/// Every command as `via>program argument…`, dynamic words in braces, and the doubts.
fn told(line: &str) -> Vec<String> {
    let parsed = parse(line);
    let mut told: Vec<String> = parsed
        .commands
        .iter()
        .map(|command| {
            let via: String = command.via.iter().map(|name| format!("{name}>")).collect();
            let assigned: String =
                command.assignments.iter().map(|one| format!("{}={} ", one.name, one.value.text)).collect();
            let words: Vec<String> = command
                .words
                .iter()
                .map(|word| if word.dynamic { format!("{{{}}}", word.text) } else { word.text.clone() })
                .collect();
            let redirections: String = command
                .redirections
                .iter()
                .map(|one| match one {
                    Redirection::Read(word) => format!(" <{}", word.text),
                    Redirection::Write(word) => format!(" >{}", word.text),
                    Redirection::Duplicate => " &".to_owned(),
                    Redirection::Text(word) => {
                        format!(" <<{:?}{}", word.text, if word.dynamic { "$" } else { "" })
                    }
                })
                .collect();
            format!("{via}{assigned}{}{redirections}", words.join(" "))
        })
        .collect();
    told.extend(parsed.doubts.iter().map(|doubt| format!("?{doubt:?}")));
    told
}

#[test]
fn compound_lines_are_flattened() {
    for (line, expected) in [
        ("npm test", &["npm test"] as &[&str]),
        ("pytest; curl x | bash", &["pytest", "curl x", "bash", "?DynamicScript"]),
        ("a && b || c & d", &["a", "b", "c", "d"]),
        ("if a; then b; elif c; then d; else e; fi", &["a", "b", "c", "d", "e"]),
        ("for i in 1 2; do rm \"$i\"; done", &["rm {\"$i\"}"]),
        ("while read l; do x; done < f", &[" <f", "read l", "x"]),
        ("case $x in a) foo;; *) bar;; esac", &["foo", "bar"]),
        ("f() { wget x; }; f", &["wget x", "f"]),
        ("(cd /tmp && make) > log", &[" >log", "cd /tmp", "make"]),
        ("! grep -q x f", &["grep -q x f"]),
        ("a # b; c", &["a"]),
        ("echo \"x\"#; c", &["echo x#", "c"]),
        ("a \\\n  b", &["a b"]),
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
}

#[test]
fn substitutions_come_before_what_they_are_part_of() {
    for (line, expected) in [
        ("echo $(ls `pwd`)", &["pwd", "ls {`pwd`}", "echo {$(ls `pwd`)}"] as &[&str]),
        ("diff <(ls a) >(cat)", &["ls a", "cat", "diff {<(ls a)} {>(cat)}"]),
        ("echo \"${x:-$(rm y)}\"", &["rm y", "echo {\"${x:-$(rm y)}\"}"]),
        ("A=$(id) npm test", &["id", "A=$(id) npm test"]),
        ("cat <<E\n$(rm y)\nE", &["rm y", "cat <<\"$(rm y)\\n\"$"]),
        ("cat <<'E'\n$(rm y)\nE", &["cat <<\"$(rm y)\\n\""]),
        ("cat <<< \"$(rm y)\"", &["rm y", "cat <<\"\\\"$(rm y)\\\"\"$"]),
        ("echo $((1 + $(id)))", &["id", "echo {$((1 + $(id)))}", "?Evaluation"]),
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
}

#[test]
fn quotes_are_resolved() {
    for (line, expected) in [
        ("w''get x", "wget x"),
        ("\\wget x", "wget x"),
        ("'wget' \"a b\"'c'", "wget a bc"),
        ("$'\\x77get' x", "wget x"),
        ("$'\\167get' x", "wget x"),
        ("echo \"a\\\"b\\$c\" 'd\\e'", "echo a\"b$c d\\e"),
        ("echo \"  \"", "echo   "),
        ("exit $?", "exit 0"),
        ("cat '~/x' ~/y", "cat ./~/x ~/y"),
    ] {
        assert_eq!(told(line), [expected], "{line}");
    }
    assert!(parse("rm *.txt").commands[0].words[1].glob);
    assert!(!parse("rm '*.txt'").commands[0].words[1].glob);
}

#[test]
fn redirections_say_what_is_read_and_written() {
    for (line, expected) in [
        ("a >out 2>&1 <in", "a >out & <in"),
        ("2>e a", "a >e"),
        (">x", " >x"),
        ("a &>y", "a >y"),
        ("a >> y >| z", "a >y >z"),
        ("a > b c", "a c >b"),
        ("a >&2", "a &"),
        ("a >&file", "a >file"),
        ("cat <<'E' >x\n$(rm)\nE", "cat >x <<\"$(rm)\\n\""),
    ] {
        assert_eq!(told(line), [expected], "{line}");
    }
}

#[test]
fn what_runs_others_is_looked_through() {
    for (line, expected) in [
        ("sudo -u root rm -rf /", &["sudo -u root rm -rf /", "sudo>rm -rf /"] as &[&str]),
        ("env -i A=1 make", &["env -i A=1 make", "env>A=1 make"]),
        (
            "timeout -s KILL 5 nice -n 3 make",
            &["timeout -s KILL 5 nice -n 3 make", "timeout>nice -n 3 make", "timeout>nice>make"],
        ),
        ("bash -lc 'a; b'", &["bash -lc a; b", "bash>a", "bash>b"]),
        ("bash -euo pipefail -c 'a | b'", &["bash -euo pipefail -c a | b", "bash>a", "bash>b"]),
        ("sh -c \"sh -c 'a'\"", &["sh -c sh -c 'a'", "sh>sh -c a", "sh>sh>a"]),
        ("eval 'a' b", &["eval a b", "eval>a b"]),
        ("ls | xargs -n1 rm -f", &["ls", "xargs -n1 rm -f", "xargs>rm -f {{}}"]),
        ("find . -name x -exec rm {} \\;", &["find . -name x -exec rm {} ;", "find>rm {{}}"]),
        ("ssh -p 22 host 'rm x; ls'", &["ssh -p 22 host rm x; ls", "ssh>rm x", "ssh>ls"]),
        ("bash <<E\nrm x\nE", &["bash <<\"rm x\\n\"", "bash>rm x"]),
        ("bash <<< 'rm x'", &["bash <<\"rm x\"", "bash>rm x"]),
        ("cat <<E | bash\nrm x\nE", &["cat <<\"rm x\\n\"", "bash", "?DynamicScript"]),
        ("command -v make", &["command -v make"]),
        ("exec make", &["exec make", "exec>make"]),
        ("env", &["env"]),
        ("bash build.sh", &["bash build.sh"]),
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
    assert_eq!(parse("env").commands[0].wraps, Wraps::Nothing);
    assert_eq!(parse_words(&["bash", "-lc", "a; b"]).commands.len(), 3);
}

#[test]
fn what_can_not_be_told_is_said() {
    for (line, doubt) in [
        ("$X foo", Doubt::DynamicProgram),
        ("${a}b", Doubt::DynamicProgram),
        ("w{ge,}t x", Doubt::DynamicProgram),
        ("*/evil", Doubt::DynamicProgram),
        ("=wget x", Doubt::DynamicProgram),
        ("bash -c \"$X\"", Doubt::DynamicScript),
        ("eval $X", Doubt::DynamicScript),
        ("bash < f", Doubt::DynamicScript),
        ("bash <(curl x)", Doubt::DynamicScript),
        ("curl x | sudo sh -s", Doubt::DynamicScript),
        ("sudo --frobnicate rm", Doubt::UnknownWrapping),
        ("env -S 'rm x'", Doubt::UnknownWrapping),
        ("sudo $X rm", Doubt::UnknownWrapping),
        ("echo \"unterminated", Doubt::Grammar),
        ("a; )", Doubt::Grammar),
        ("wg\\\net x", Doubt::Grammar),
        ("pytest\u{a0}x", Doubt::Grammar),
        ("pytest\r\ncurl x", Doubt::Grammar),
        ("echo ${x@P}", Doubt::Evaluation),
        ("echo $((x))", Doubt::Evaluation),
        ("[[ 'a[$(id)]' -eq 0 ]]", Doubt::Evaluation),
        ("coproc make", Doubt::UnknownWrapping),
    ] {
        assert!(parse(line).doubts.contains(&doubt), "{line}: {:?}", told(line));
    }
}

#[test]
fn commands_of_one_pipeline_share_its_number() {
    let shared = |line: &str, a: &str, b: &str| {
        let parsed = parse(line);
        let of = |name: &str| {
            parsed.commands.iter().find(|command| command.name() == name).unwrap().pipelines.clone()
        };
        let (a, b) = (of(a), of(b));
        a.iter().any(|number| b.contains(number))
    };
    assert!(shared("curl x | tee f | bash", "curl", "bash"));
    assert!(shared("curl x | sudo bash", "curl", "bash"));
    assert!(shared("curl x | { bash; }", "curl", "bash"));
    assert!(shared("bash -c \"$(curl x)\"", "curl", "bash"));
    assert!(shared("cat <<E | bash\nx\nE", "cat", "bash"));
    assert!(!shared("curl x; bash f", "curl", "bash"));
    assert!(!shared("curl x && ls | bash", "curl", "bash"));
}

#[test]
fn size_and_depth_are_bounded() {
    assert!(parse(&"a;".repeat(200_000)).doubts.contains(&Doubt::TooLong));
    assert!(parse(&"a;".repeat(5_000)).doubts.contains(&Doubt::TooManyCommands));
    for deep in ["(".repeat(50_000), "$(".repeat(50_000), "a && ".repeat(10_000) + "a", "`".repeat(50_000)] {
        assert!(!parse(&deep).doubts.is_empty());
    }
    let mut nested = "ls".to_owned();
    for _ in 0..10 {
        nested = format!("bash -c {}", quoted(&nested));
    }
    assert!(parse(&nested).doubts.contains(&Doubt::TooDeep));
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[test]
fn no_character_behind_a_brace_leads_the_grammar_out_of_its_table() {
    for (line, seen) in [
        ("echo {\u{10ffff}", "echo {xxxx"),
        ("echo {12\u{10ffff}}", "echo {12xxxx}"),
        ("echo {1..\u{10ffff}} é", "echo {1..xxxx} é"),
        ("é {1..2é {a", "é {1..2xx {a"),
        ("é {1.é {é1", "é {1.é {xx1"),
    ] {
        assert_eq!(std::str::from_utf8(&super::for_the_grammar(line)), Ok(seen));
        // Words are the line's own.
        let parsed = parse(&line.repeat(50));
        assert!(parsed.doubts.contains(&Doubt::Grammar) || parsed.commands[0].name() != "xx");
    }
    let parsed = parse("echo {é,b} {\u{10ffff} c");
    assert!(parsed.commands[0].words.iter().all(|word| !word.text.contains("xx")), "{parsed:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in it, a line is read without a panic, and quoting a word never changes what it says.
    #[test]
    fn any_line_is_read(pieces in proptest::collection::vec(prop_oneof![
        Just("echo ".to_owned()), Just("$(".to_owned()), Just(")".to_owned()), Just("`".to_owned()),
        Just("'".to_owned()), Just("\"".to_owned()), Just("\\".to_owned()), Just("\n".to_owned()),
        Just("<<E\n".to_owned()), Just("E\n".to_owned()), Just(" | ".to_owned()), Just("; ".to_owned()),
        Just("sudo ".to_owned()), Just("bash -c ".to_owned()), Just("env ".to_owned()), Just("xargs ".to_owned()),
        Just("${".to_owned()), Just("}".to_owned()), Just("[[ ".to_owned()), Just(" ]]".to_owned()),
        Just(">".to_owned()), Just("<".to_owned()), Just("&".to_owned()), Just("if ".to_owned()), Just("fi".to_owned()),
        Just("$'\\x".to_owned()), Just("find -exec ".to_owned()), ".{0,6}"
    ], 0..24)) {
        let line = pieces.concat();
        let _ = parse(&line);
    }

    #[test]
    fn a_quoted_word_is_itself(text in "[ -~]{1,30}") {
        let line = format!("echo {}", quoted(&text));
        let parsed = parse(&line);
        prop_assert!(parsed.doubts.is_empty(), "{:?}", parsed.doubts);
        let expected = if text.starts_with('~') { format!("./{text}") } else { text };
        prop_assert_eq!(&parsed.commands[0].words[1], &Word::plain(expected));
    }

    /// A command behind any operator is listed.
    #[test]
    fn what_follows_is_not_lost(first in "[a-z]{2,6}( [a-z]{1,5}){0,3}", operator in prop_oneof![
        Just("; "), Just(" && "), Just(" || "), Just(" | "), Just(" & "), Just("\n"), Just("|& "), Just(" $("), Just(" `")
    ]) {
        let close = match operator { " $(" => ")", " `" => "`", _ => "" };
        let reserved = ["if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "time", "select", "function"];
        prop_assume!(!reserved.contains(&first.split(' ').next().unwrap()));
        let line = format!("{first}{operator}evil-command x{close}");
        prop_assert!(parse(&line).commands.iter().any(|command| command.name() == "evil-command"), "{}", line);
    }
}
