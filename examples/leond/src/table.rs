//! Aligned tables for people.

use comfy_table::{CellAlignment, Table, presets};

/// A table with the given headers; columns whose header is marked with a leading `>` are right-aligned.
pub(crate) fn render<const N: usize>(
    headers: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headers.map(|header| header.trim_start_matches('>')));
    for row in rows {
        table.add_row(row);
    }
    for (column, header) in table.column_iter_mut().zip(headers) {
        if header.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
