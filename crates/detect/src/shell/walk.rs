//! Walks the grammar's tree and lists what it runs.

use sallyport_policy::shell::{Assignment, Doubt, Link, Redirection, SimpleCommand, Word};
use tree_sitter::Node;

use super::word::{parts, source, word};
use super::{Around, Reading, wrappers};

/// Nested nodes of one script. Each `&&` is one more.
const MAX_DEPTH: usize = 200;
/// Values of loops and arrays in one line.
const MAX_TAKES: usize = 256;

pub(super) struct Walk<'w, 'o> {
    pub(super) reading: &'w mut Reading<'o>,
    pub(super) text: &'w str,
    pub(super) depth: usize,
}

impl Walk<'_, '_> {
    pub(super) fn program(&mut self, root: Node<'_>, around: &Around) {
        if root.has_error() {
            self.reading.doubt(Doubt::Grammar);
        }
        self.statement(root, &mut around.clone(), 0);
    }

    fn source(&self, node: Node<'_>) -> &str {
        source(node, self.text)
    }

    /// Anything that may hold commands.
    fn statement(&mut self, node: Node<'_>, around: &mut Around, nested: usize) {
        if nested > MAX_DEPTH {
            return self.reading.doubt(Doubt::TooDeep);
        }
        let nested = nested + 1;
        match node.kind() {
            "pipeline" => self.pipeline(node, around, nested),
            "command" => self.simple(node, None, around, nested),
            "redirected_statement" => self.redirected(node, around, nested),
            "declaration_command" | "unset_command" => self.simple(node, None, around, nested),
            "variable_assignment" | "variable_assignments" => self.assigned(node, around, nested),
            "comment" => self.comment(node),
            "test_command" => {
                self.test(node);
                self.children(node, around, nested);
            }
            "arithmetic_expansion" | "c_style_for_statement" => {
                self.arithmetic(node);
                self.children(node, around, nested);
            }
            "compound_statement" if self.source(node).starts_with("((") => {
                self.arithmetic(node);
                self.children(node, around, nested);
            }
            "expansion" => {
                // `${x@P}` runs what stands in x, and `${!x}` what stands in the subscript that x holds.
                if self.source(node).contains('@') || self.source(node).starts_with("${!") {
                    self.reading.doubt(Doubt::Evaluation);
                }
                self.children(node, around, nested);
            }
            "subscript" => {
                self.reading.doubt(Doubt::Evaluation);
                self.children(node, around, nested);
            }
            "heredoc_redirect" => self.reading.doubt(Doubt::Grammar),
            // `$(<file)`, and what stands behind the body of a function.
            "file_redirect" | "herestring_redirect" => self.lone(node, around, nested),
            "for_statement" => {
                let name = node.child_by_field_name("variable").map(|name| source(name, self.text));
                for (value, _) in parts(node).into_iter().filter(|(_, field)| *field == Some("value")) {
                    self.take(name.unwrap_or_default(), word(value, self.text));
                }
                self.children(node, around, nested);
            }
            "ERROR" => {
                self.reading.doubt(Doubt::Grammar);
                self.children(node, around, nested);
            }
            // Each list of commands starts anew.
            "command_substitution" | "process_substitution" | "subshell" => {
                let mut inner = Around { link: Link::Sequence, ..around.clone() };
                if node.kind() == "process_substitution" {
                    inner.fed = true;
                }
                self.children(node, &mut inner, nested);
            }
            // In what it takes for a pattern the grammar sees no substitution; the shell does.
            "regex" | "extglob_pattern" | "word" | "string_content" if substitutes(self.source(node)) => {
                self.reading.doubt(Doubt::Evaluation);
            }
            _ => self.children(node, around, nested),
        }
    }

    fn children(&mut self, node: Node<'_>, around: &mut Around, nested: usize) {
        for (child, _) in parts(node) {
            if child.is_missing() {
                self.reading.doubt(Doubt::Grammar);
            }
            if child.is_named() {
                self.statement(child, around, nested);
            } else {
                around.link = match self.source(child) {
                    "&&" => Link::And,
                    "||" => Link::Or,
                    "&" => Link::Background,
                    _ => Link::Sequence,
                };
            }
        }
    }

    fn pipeline(&mut self, node: Node<'_>, around: &mut Around, nested: usize) {
        let mut inner = around.clone();
        inner.pipelines.push(self.reading.pipeline());
        for (child, _) in parts(node) {
            if child.is_named() {
                self.statement(child, &mut inner, nested);
            } else if matches!(self.source(child), "|" | "|&") {
                inner.link = Link::Pipe;
                inner.fed = true;
            }
        }
        around.link = Link::Sequence;
    }

    /// What a word runs while it is expanded.
    fn within(&mut self, node: Node<'_>, around: &Around, nested: usize) {
        self.statement(node, &mut Around { link: Link::Sequence, ..around.clone() }, nested);
    }

    /// A command with what stands around its words. `outer` brings redirections from around it.
    fn simple(&mut self, node: Node<'_>, outer: Option<Redirected<'_>>, around: &mut Around, nested: usize) {
        let Redirected { redirections, more, mut rest } = outer.unwrap_or_default();
        let mut around_here = around.clone();
        // A substitution within a command feeds it like a pipe does.
        if around_here.pipelines.is_empty() {
            around_here.pipelines.push(self.reading.pipeline());
        }
        if let Some(pipeline) = rest.pipeline {
            around_here.pipelines.push(pipeline);
        }
        let mut command = SimpleCommand {
            redirections,
            link: around.link,
            pipelines: around_here.pipelines.clone(),
            via: around.via.clone(),
            ..SimpleCommand::default()
        };
        let inner = Around { link: Link::Sequence, fed: false, ..around_here.clone() };
        for (child, _) in parts(node) {
            match child.kind() {
                "variable_assignment" => {
                    self.within_children(child, &inner, nested);
                    command.assignments.extend(self.assignment(child));
                }
                "file_redirect" | "herestring_redirect" => {
                    let words = self.redirect(child, &mut command.redirections, &inner, nested);
                    command.words.extend(words);
                }
                "heredoc_redirect" => {
                    let mut found = Redirected::default();
                    self.heredoc(child, &mut found, &inner, nested);
                    command.redirections.append(&mut found.redirections);
                    command.words.append(&mut found.more);
                    // It opens before the program is named; few people write so.
                    if !found.rest.follow.is_empty() {
                        self.reading.doubt(Doubt::Grammar);
                    }
                    rest.follow.append(&mut found.rest.follow);
                }
                "comment" => self.comment(child),
                _ if child.is_missing() || child.is_error() => {
                    self.reading.doubt(Doubt::Grammar);
                    self.within(child, &inner, nested);
                }
                _ => {
                    self.within(child, &inner, nested);
                    command.words.push(word(child, self.text));
                }
            }
        }
        command.words.extend(more);
        self.reads(&command);
        wrappers::push(self.reading, command, self.depth, around.fed);
        self.follow(&rest, around, nested);
        around.link = Link::Sequence;
    }

    /// `read name <<< text`.
    fn reads(&mut self, command: &SimpleCommand) {
        if !matches!(command.name(), "read" | "mapfile" | "readarray") {
            return;
        }
        for redirection in &command.redirections {
            let Redirection::Text(text) = redirection else { continue };
            for name in command.arguments().iter().filter(|word| !word.text.starts_with('-')) {
                self.take(&name.text, text.clone());
            }
        }
    }

    /// `cat <<E | bash`: what follows on the line of a here-document.
    fn follow(&mut self, rest: &Rest<'_>, around: &Around, nested: usize) {
        for next in &rest.follow {
            let mut after = around.clone();
            after.link = next.link;
            if next.piped {
                after.pipelines.extend(rest.pipeline);
                after.fed = true;
            }
            self.statement(next.node, &mut after, nested);
        }
    }

    fn within_children(&mut self, node: Node<'_>, around: &Around, nested: usize) {
        self.children(node, &mut Around { link: Link::Sequence, ..around.clone() }, nested);
    }

    /// `NAME=value` alone.
    fn assigned(&mut self, node: Node<'_>, around: &mut Around, nested: usize) {
        let single = (node.kind() == "variable_assignment").then_some(node);
        let several = parts(node).into_iter().map(|(part, _)| part);
        let mut assignments = Vec::new();
        for one in single.into_iter().chain(several.filter(|child| child.kind() == "variable_assignment")) {
            self.within_children(one, around, nested);
            assignments.extend(self.assignment(one));
        }
        let command = SimpleCommand {
            assignments,
            link: around.link,
            pipelines: around.pipelines.clone(),
            via: around.via.clone(),
            ..SimpleCommand::default()
        };
        self.reading.emit(command);
        around.link = Link::Sequence;
    }

    fn assignment(&mut self, node: Node<'_>) -> Option<Assignment> {
        let name = node.child_by_field_name("name")?;
        if name.kind() != "variable_name" {
            self.reading.doubt(Doubt::Evaluation);
        }
        let value = node.child_by_field_name("value");
        let appends = parts(node).into_iter().any(|(part, _)| part.kind() == "+=");
        let name = source(name, self.text).to_owned();
        for element in value.filter(|value| value.kind() == "array").map(parts).unwrap_or_default() {
            if element.0.is_named() {
                self.take(&name, word(element.0, self.text));
            }
        }
        let mut value = value.map(|value| word(value, self.text)).unwrap_or_default();
        if appends {
            let text = format!("${{{name}}}{}", value.text);
            value = Word { text, dynamic: true, glob: value.glob };
        }
        Some(Assignment { name, value })
    }

    /// A variable takes a value in a way that sets nothing beyond this line.
    fn take(&mut self, name: &str, value: Word) {
        if self.reading.out.takes.len() < MAX_TAKES {
            self.reading.out.takes.push(Assignment { name: name.to_owned(), value });
        }
    }

    /// A redirection without a command.
    fn lone(&mut self, node: Node<'_>, around: &mut Around, nested: usize) {
        let mut redirections = Vec::new();
        if !self.redirect(node, &mut redirections, around, nested).is_empty() {
            self.reading.doubt(Doubt::Grammar);
        }
        self.reading.emit(SimpleCommand {
            redirections,
            link: around.link,
            pipelines: around.pipelines.clone(),
            via: around.via.clone(),
            ..SimpleCommand::default()
        });
        around.link = Link::Sequence;
    }

    /// A statement with redirections around it.
    fn redirected(&mut self, node: Node<'_>, around: &mut Around, nested: usize) {
        let mut found = Redirected::default();
        let mut body = None;
        let inner = Around { link: Link::Sequence, fed: false, ..around.clone() };
        for (child, field) in parts(node) {
            match child.kind() {
                "file_redirect" | "herestring_redirect" => {
                    let words = self.redirect(child, &mut found.redirections, &inner, nested);
                    found.more.extend(words);
                }
                "heredoc_redirect" => self.heredoc(child, &mut found, &inner, nested),
                "comment" => self.comment(child),
                _ if field == Some("body") => body = Some(child),
                _ => {
                    self.reading.doubt(Doubt::Grammar);
                    self.within(child, &inner, nested);
                }
            }
        }
        let mut rest = std::mem::take(&mut found.rest);
        if rest.follow.iter().any(|next| next.piped) {
            rest.pipeline = Some(self.reading.pipeline());
        }
        found.rest.pipeline = rest.pipeline;
        match body {
            Some(body) if matches!(body.kind(), "command" | "declaration_command" | "unset_command") => {
                self.simple(body, Some(found), around, nested);
            }
            body => {
                if !found.more.is_empty() {
                    self.reading.doubt(Doubt::Grammar);
                }
                let mut pipelines = around.pipelines.clone();
                pipelines.extend(rest.pipeline);
                // What stands in the compound reads and writes there.
                let fed = around.fed
                    || found
                        .redirections
                        .iter()
                        .any(|one| !matches!(one, Redirection::Duplicate | Redirection::Write(_)));
                self.reading.emit(SimpleCommand {
                    redirections: found.redirections,
                    link: around.link,
                    pipelines: pipelines.clone(),
                    via: around.via.clone(),
                    ..SimpleCommand::default()
                });
                if let Some(body) = body {
                    self.statement(body, &mut Around { pipelines, fed, ..around.clone() }, nested);
                }
            }
        }
        self.follow(&rest, around, nested);
        around.link = Link::Sequence;
    }

    /// A redirection; gives back words that stand behind it and belong to the command.
    fn redirect(
        &mut self,
        node: Node<'_>,
        redirections: &mut Vec<Redirection>,
        around: &Around,
        nested: usize,
    ) -> Vec<Word> {
        let mut operator = "";
        let mut words = Vec::new();
        for (child, _) in parts(node) {
            match child.kind() {
                "file_descriptor" => {}
                _ if child.is_missing() || child.is_error() => self.reading.doubt(Doubt::Grammar),
                _ if child.is_named() => {
                    self.within(child, around, nested);
                    words.push(word(child, self.text));
                }
                _ => operator = child.kind(),
            }
        }
        let mut words = words.into_iter();
        let Some(target) = words.next() else {
            // `>&-` closes.
            if !matches!(operator, ">&-" | "<&-") {
                self.reading.doubt(Doubt::Grammar);
            }
            return Vec::new();
        };
        let number =
            target.is_static() && target.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        redirections.push(match operator {
            "<<<" => Redirection::Text(target),
            ">&" | "<&" if number => Redirection::Duplicate,
            "<" | "<&" => Redirection::Read(target),
            ">" | ">>" | ">|" | "&>" | "&>>" | ">&" => Redirection::Write(target),
            _ => {
                self.reading.doubt(Doubt::Grammar);
                Redirection::Write(target)
            }
        });
        words.collect()
    }

    /// A here-document with what stands behind its opening on the same line.
    fn heredoc<'t>(&mut self, node: Node<'t>, found: &mut Redirected<'t>, around: &Around, nested: usize) {
        let mut opening = "";
        let mut operator = "";
        let mut body = None;
        let mut ending = None;
        let mut link = Link::Sequence;
        for (child, field) in parts(node) {
            match child.kind() {
                "heredoc_start" => opening = source(child, self.text),
                "heredoc_body" => {
                    self.within_children(child, around, nested);
                    body = Some(child);
                }
                "heredoc_end" => ending = Some(self.source(child).trim_matches('\t').to_owned()),
                "<<" | "<<-" => operator = child.kind(),
                "file_descriptor" => {}
                "file_redirect" | "herestring_redirect" => {
                    let words = self.redirect(child, &mut found.redirections, around, nested);
                    found.more.extend(words);
                }
                "&&" => link = Link::And,
                "||" => link = Link::Or,
                "|" | "|&" => link = Link::Pipe,
                // The grammar hangs the rest of a pipeline below the here-document.
                "pipeline" => found.rest.follow.push(Follow { node: child, link: Link::Pipe, piped: true }),
                _ if child.is_missing() || child.is_error() || !child.is_named() => {
                    self.reading.doubt(Doubt::Grammar);
                }
                _ if field == Some("argument") => {
                    self.within(child, around, nested);
                    found.more.push(word(child, self.text));
                }
                _ => found.rest.follow.push(Follow { node: child, link, piped: link == Link::Pipe }),
            }
        }
        let quoted = opening.contains(['\'', '"', '\\']);
        let delimiter: String = opening.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
        let content = body.map(|body| self.source(body)).unwrap_or_default().to_owned();
        // Where the shell would see the end is held against where the grammar saw it.
        let ends = content.lines().any(|line| {
            let line = if operator == "<<-" { line.trim_start_matches('\t') } else { line };
            line == delimiter
        });
        if ends || delimiter.is_empty() || ending.as_deref() != Some(delimiter.as_str()) {
            self.reading.doubt(Doubt::Grammar);
        }
        // The grammar sees `$(…)` in a here-document, and no backquotes; the shell sees both.
        if !quoted && backquoted(&content) {
            self.reading.doubt(Doubt::Evaluation);
        }
        let dynamic = !quoted && (content.contains('$') || content.contains('`'));
        found.redirections.push(Redirection::Text(Word { text: content, dynamic, glob: false }));
    }

    /// A comment starts a word of its own; anything else a shell reads differently.
    fn comment(&mut self, node: Node<'_>) {
        let before = self.text.get(..node.start_byte()).and_then(|head| head.chars().next_back());
        if before.is_some_and(|c| !c.is_ascii_whitespace() && !matches!(c, ';' | '(' | ')' | '|' | '&')) {
            self.reading.doubt(Doubt::Grammar);
        }
    }

    /// Arithmetic over variables runs substitutions that stand in their values.
    fn arithmetic(&mut self, node: Node<'_>) {
        let letters =
            self.source(node).contains(|c: char| c.is_alphabetic() || matches!(c, '[' | '`' | '"' | '\''));
        if letters {
            self.reading.doubt(Doubt::Evaluation);
        }
    }

    /// So do the numeric comparisons of `[[`, and `-v`.
    fn test(&mut self, node: Node<'_>) {
        let source = self.source(node);
        let numbers = source.starts_with("[[");
        let evaluates = |word: &str| match word {
            "-v" | "-R" => true,
            "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" => numbers,
            _ => false,
        };
        if source.split_ascii_whitespace().any(evaluates) && source.contains(['\'', '"', '$', '`', '\\']) {
            self.reading.doubt(Doubt::Evaluation);
        }
    }
}

/// Whether a text holds the beginning of a substitution that no backslash takes back.
fn substitutes(text: &str) -> bool {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '`' => return true,
            '$' if characters.peek() == Some(&'(') => return true,
            _ => {}
        }
    }
    false
}

/// Whether a text holds a backquote that no backslash takes back.
fn backquoted(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '`' => return true,
            _ => {}
        }
    }
    false
}

/// Redirections around a command, words that stand behind them, and what follows on a here-document's line.
#[derive(Default)]
struct Redirected<'t> {
    redirections: Vec<Redirection>,
    more: Vec<Word>,
    rest: Rest<'t>,
}

#[derive(Default)]
struct Rest<'t> {
    follow: Vec<Follow<'t>>,
    pipeline: Option<u32>,
}

struct Follow<'t> {
    node: Node<'t>,
    link: Link,
    piped: bool,
}
