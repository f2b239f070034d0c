//! The one place that writes to the terminal: lines, tables, JSON, notes on stderr.
//!
//! Colours only on a terminal, and never when `NO_COLOR` is set; colour alone never carries meaning.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table as Grid, Width, presets};
use serde::Serialize;

use crate::exit::Failure;
use crate::text::{printable, printable_lines};

/// Where a command's answer goes.
pub(crate) struct Out {
    to: Box<dyn Write>,
    colour: bool,
    /// Whether what is written commands a terminal.
    terminal: bool,
}

/// The few accents that human output uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accent {
    Plain,
    Good,
    Notice,
    Bad,
    Faint,
    Strong,
}

impl Accent {
    fn code(self) -> &'static str {
        match self {
            Accent::Plain => "",
            Accent::Good => "32",
            Accent::Notice => "33",
            Accent::Bad => "31",
            Accent::Faint => "2",
            Accent::Strong => "1",
        }
    }
}

impl Out {
    pub(crate) fn stdout() -> Out {
        let terminal = io::stdout().is_terminal();
        let colour = terminal
            && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        Out { to: Box::new(io::BufWriter::new(io::stdout())), colour, terminal }
    }

    #[cfg(test)]
    pub(crate) fn to(writer: impl Write + 'static) -> Out {
        Out { to: Box::new(writer), colour: false, terminal: false }
    }

    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        let text = text.as_ref();
        match self.terminal {
            true => self.to.write_all(shown(text).as_bytes())?,
            false => self.to.write_all(text.as_bytes())?,
        }
        self.to.write_all(b"\n")
    }

    /// Bytes as they are, without a line break of ours.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    pub(crate) fn blank(&mut self) -> io::Result<()> {
        self.to.write_all(b"\n")
    }

    /// `text` in an accent, if this is a terminal.
    pub(crate) fn paint(&self, accent: Accent, text: &str) -> String {
        match accent.code() {
            code if self.colour && !code.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }

    /// One JSON document, indented: for commands that answer with one object.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text =
            serde_json::to_string_pretty(value).map_err(|e| Failure::caused("could not write JSON", &e))?;
        Ok(self.line(text)?)
    }

    /// One JSON object on one line: for commands that answer with many.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|e| Failure::caused("could not write JSON", &e))?;
        Ok(self.line(text)?)
    }

    pub(crate) fn table(&mut self, table: Table) -> io::Result<()> {
        let rendered = table.render();
        let mut lines = rendered.lines();
        if let Some(head) = lines.next() {
            let head = self.paint(Accent::Faint, head.trim_end());
            self.line(head)?;
        }
        lines.try_for_each(|line| self.line(line.trim_end()))
    }

    /// A table that goes on where one with a header ended.
    pub(crate) fn table_rows(&mut self, table: Table) -> io::Result<()> {
        table.render().lines().skip(1).try_for_each(|line| self.line(line.trim_end()))
    }

    /// Two aligned columns without a header: `state     protected`.
    pub(crate) fn pairs(&mut self, rows: &[(&str, String)]) -> io::Result<()> {
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in rows {
            let name = self.paint(Accent::Faint, &format!("{name:width$}"));
            self.line(format!("{name}  {value}").trim_end())?;
        }
        Ok(())
    }
}

/// What a terminal may get of a line in which names and texts of others may stand: our accents, and no other command. A
/// pipe gets every byte, since programs read it.
fn shown(text: &str) -> String {
    let accents = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let accent = accents.iter().find(|accent| c == '\u{1b}' && rest.starts_with(**accent));
        let taken = accent.map_or(c.len_utf8(), |accent| accent.len());
        let (part, behind) = rest.split_at(taken);
        match accent.is_some() || c == '\n' {
            true => shown.push_str(part),
            false => shown.push_str(&printable(part)),
        }
        rest = behind;
    }
    shown
}

/// For answers that are written as they are read.
impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// An aligned table: a header and rows, columns two spaces apart.
pub(crate) struct Table {
    grid: Grid,
    right: Vec<usize>,
    least: Vec<(usize, u16)>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Table {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        grid.set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(header.iter().copied());
        Table { grid, right: Vec::new(), least: Vec::new() }
    }

    /// Aligns a column of numbers to the right.
    pub(crate) fn right(mut self, column: usize) -> Table {
        self.right.push(column);
        self
    }

    /// Gives a column room for what may come in later tables, so that they line up.
    pub(crate) fn least(mut self, column: usize, width: u16) -> Table {
        self.least.push((column, width));
        self
    }

    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let shown = |cell: String| printable(&cell.replace('\n', " "));
        self.grid.add_row(cells.into_iter().map(|c| shown(c.into())).collect::<Vec<String>>());
    }

    fn render(mut self) -> String {
        for (index, column) in self.grid.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if let Some((_, width)) = self.least.iter().find(|(column, _)| *column == index) {
                // The boundary counts the padding.
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + 2)));
            }
        }
        self.grid.to_string()
    }
}

/// A remark beside the answer, on stderr, so that pipes get the answer alone.
pub(crate) fn note(text: impl AsRef<str>) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{}", printable_lines(text.as_ref()));
}

/// A line on stderr that the next one writes over.
pub(crate) fn status_line(text: &str) {
    let _ = write!(io::stderr(), "\r\u{1b}[K{text}");
}

#[cfg(test)]
pub(crate) mod testing {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::Out;

    /// An `Out` whose text can be read back.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn out(&self) -> Out {
            Out::to(self.clone())
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Captured;
    use super::*;

    #[test]
    fn a_terminal_gets_our_accents_and_no_command_of_others() {
        let foreign = "a\u{1b}]0;title\u{7}\u{9b}2Jb\u{202e}c\nd";
        for (terminal, expected) in [
            (true, "\u{1b}[31ma\u{fffd}]0;title\u{fffd}\u{fffd}2Jb\u{fffd}c\nd\u{1b}[0m\n".to_owned()),
            (false, format!("\u{1b}[31m{foreign}\u{1b}[0m\n")),
        ] {
            let captured = Captured::default();
            let mut out = Out { terminal, colour: true, ..captured.out() };
            let line = out.paint(Accent::Bad, foreign);
            out.line(line).unwrap();
            out.flush().unwrap();
            assert_eq!(captured.text(), expected);
        }
    }

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_blanks() {
        let captured = Captured::default();
        let mut table = Table::new(&["name", "count"]).right(1);
        table.row(["a-long-name", "7"]);
        table.row(["b", "1200"]);
        captured.out().table(table).unwrap();
        assert_eq!(captured.text(), "name         count\na-long-name      7\nb             1200\n");
    }

    #[test]
    fn a_cell_commands_no_terminal() {
        let captured = Captured::default();
        let mut table = Table::new(&["model"]);
        table.row(["gpt\u{1b}[2J\n5"]);
        captured.out().table(table).unwrap();
        assert_eq!(captured.text(), "model\ngpt\u{fffd}[2J 5\n");
    }

    #[test]
    fn pairs_line_up() {
        let captured = Captured::default();
        captured.out().pairs(&[("state", "on".into()), ("listener", "x".into())]).unwrap();
        assert_eq!(captured.text(), "state     on\nlistener  x\n");
    }
}
