//! A table laid out for a fixed-width typeface, for a platform that has none. Pure.

/// Rows of cells, as they come in.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    row: Vec<String>,
    cell: String,
}

impl Table {
    /// Adds to the open cell.
    pub(crate) fn push(&mut self, text: &str) {
        self.cell.push_str(&text.replace('\n', " "));
    }

    /// The cell is complete.
    pub(crate) fn end_cell(&mut self) {
        self.row.push(std::mem::take(&mut self.cell).trim().to_owned());
    }

    /// The row is complete.
    pub(crate) fn end_row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    /// Columns side by side, a rule under the first row.
    pub(crate) fn lay_out(self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell_width = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| width(cell));
        let widest = |column| self.rows.iter().map(|row| cell_width(row, column)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let mut lines = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, wide)| {
                let blanks = " ".repeat(wide.saturating_sub(width(cell)));
                format!("{cell}{blanks}")
            });
            lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
            if index == 0 {
                lines.push(widths.iter().map(|wide| "-".repeat(*wide)).collect::<Vec<_>>().join("  "));
            }
        }
        lines.join("\n").trim_end().to_owned()
    }
}

/// Columns on a screen: East Asian characters and emoji take two.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}');
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}
