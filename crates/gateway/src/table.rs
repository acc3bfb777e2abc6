//! Plain text in aligned columns, for people at a terminal.

/// `rows` under each other, every column as wide as its widest cell, two spaces between columns and
/// `indent` in front. The last column is as long as it likes.
pub(crate) fn aligned<const COLUMNS: usize>(indent: usize, rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        text.push_str(&" ".repeat(indent));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["WORKER", "STATE", ""], ["a", "unhealthy", "ü"], ["ünïcode", "ok", ""]];
        let text = aligned(1, &rows.map(|row| row.map(str::to_owned)));
        assert_eq!(text, " WORKER   STATE\n a        unhealthy  ü\n ünïcode  ok\n");
        assert_eq!(aligned::<2>(0, &[]), "");
    }
}
