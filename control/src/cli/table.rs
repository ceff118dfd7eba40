//! Tables with a heavy head.

use std::fmt;

/// A table: a head, and rows of as many cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<const N: usize>(head: [&str; N]) -> Table {
        Table { head: head.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Adds a row; control characters are replaced, so that no cell can speak to the terminal.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let width = |cell: &String| cell.chars().count();
        let mut widths: Vec<usize> = self.head.iter().map(width).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let rule = |f: &mut fmt::Formatter<'_>, [left, line, middle, right]: [char; 4]| {
            let parts: Vec<String> = widths.iter().map(|width| line.to_string().repeat(width + 2)).collect();
            write!(f, "{left}{}{right}", parts.join(&middle.to_string()))
        };
        let cells = |f: &mut fmt::Formatter<'_>, cells: &[String], bar: char| {
            write!(f, "{bar}")?;
            for (cell, width) in cells.iter().zip(&widths) {
                write!(f, " {cell:<width$} {bar}")?;
            }
            writeln!(f)
        };
        rule(f, ['┏', '━', '┳', '┓'])?;
        writeln!(f)?;
        cells(f, &self.head, '┃')?;
        rule(f, ['┡', '━', '╇', '┩'])?;
        writeln!(f)?;
        for row in &self.rows {
            cells(f, row, '│')?;
        }
        rule(f, ['└', '─', '┴', '┘'])
    }
}

/// `text` with its control characters replaced.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["Name", "Status"]);
        table.row(["demo-app".into(), "RUNNING".into()]);
        table.row(["é".into(), "a\x1b[2J".into()]);
        assert_eq!(
            table.to_string(),
            "┏━━━━━━━━━━┳━━━━━━━━━┓\n\
             ┃ Name     ┃ Status  ┃\n\
             ┡━━━━━━━━━━╇━━━━━━━━━┩\n\
             │ demo-app │ RUNNING │\n\
             │ é        │ a\u{fffd}[2J   │\n\
             └──────────┴─────────┘"
        );
    }
}
