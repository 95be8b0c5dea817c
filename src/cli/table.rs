//! Columns for people, aligned by what a terminal shows: a Chinese character is two columns wide.

use unicode_width::UnicodeWidthStr;

use super::output::printable;

/// Rows under a head.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// Columns whose cells stand at the right: numbers.
    right: Vec<usize>,
}

impl Table {
    /// With these column names.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned).to_vec()], right: Vec::new() }
    }

    /// These columns hold numbers.
    pub fn numbers(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    /// One more row; a cell is one line.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| printable(&cell).replace(['\n', '\t'], " ")).to_vec());
    }

    /// The whole table.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let lines = self.rows.iter().map(|row| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let gap = " ".repeat(width - cell.width());
                if self.right.contains(&column) { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// `name: value` lines, the values under each other.
pub fn facts(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        format!("{name}{}  {}", " ".repeat(width - name.width()), printable(value)).trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_cells_line_up_with_latin_ones() {
        let mut table = Table::new(["NAME", "N", "STATE"]).numbers(&[1]);
        table.row(["小船".into(), "7".into(), "up".into()]);
        table.row(["telegram".into(), "12".into(), "down".into()]);
        assert_eq!(table.render(), "NAME       N  STATE\n小船       7  up\ntelegram  12  down");
    }

    #[test]
    fn a_line_break_in_a_cell_does_not_break_the_table() {
        let mut table = Table::new(["ERROR"]);
        table.row(["a\nb".into()]);
        assert_eq!(table.render(), "ERROR\na b");
    }
}
