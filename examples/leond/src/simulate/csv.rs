//! A CSV file (RFC 4180) as cells that know where they stand, so that what is wrong with one can be said in one
//! sentence. Knows nothing of what the cells mean, except round-trip times.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

use super::underlay::{MAX_RTT_MS, delay_ns};

/// The lines of a file that are not empty.
pub(super) struct Table {
    file: String,
    text: Vec<u8>,
    pub(super) rows: Vec<Row>,
}

/// One line.
pub(super) struct Row {
    /// Where the one before it ends, in bytes.
    begin: u64,
    pub(super) cells: StringRecord,
}

impl Table {
    /// Reads a file whose cells are separated by commas.
    pub(super) fn read(file: &Path) -> anyhow::Result<Table> {
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Table::parse(&file.display().to_string(), &text)
    }

    fn parse(file: &str, text: &[u8]) -> anyhow::Result<Table> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(text);
        let mut table = Table { file: file.to_owned(), text: text.to_vec(), rows: Vec::new() };
        for record in reader.records() {
            let cells = record.map_err(|error| match error.kind() {
                ErrorKind::Utf8 { pos: Some(pos), err } => {
                    anyhow!(
                        "{file}, line {}, column {}: not UTF-8",
                        line_at(text, pos.byte()),
                        err.field() + 1
                    )
                }
                _ => anyhow!("{file}: {error}"),
            })?;
            let begin = cells.position().map_or(0, Position::byte);
            table.rows.push(Row { begin, cells });
        }
        Ok(table)
    }

    /// The number of a line in the file, from 1 on.
    pub(super) fn line(&self, row: &Row) -> usize {
        line_at(&self.text, row.begin)
    }

    /// What is wrong with the whole file.
    pub(super) fn error(&self, what: &str) -> anyhow::Error {
        anyhow!("{}: {what}", self.file)
    }

    /// What is wrong with a line.
    pub(super) fn error_in(&self, row: &Row, what: &str) -> anyhow::Error {
        anyhow!("{}, line {}: {what}", self.file, self.line(row))
    }

    /// What is wrong with a cell, by its index in the line.
    pub(super) fn error_at(&self, row: &Row, cell: usize, what: &str) -> anyhow::Error {
        anyhow!("{}, line {}, column {}: {what}", self.file, self.line(row), cell + 1)
    }

    /// The one-way delay in nanoseconds that follows from the round-trip time in a cell; `None` if it is blank.
    pub(super) fn delay_at(&self, row: &Row, cell: usize) -> anyhow::Result<Option<u64>> {
        let text = &row.cells[cell];
        if text.is_empty() {
            return Ok(None);
        }
        let rtt_ms = text.parse().ok().filter(|ms| (0.0..=MAX_RTT_MS).contains(ms));
        let rtt_ms = rtt_ms.ok_or_else(|| {
            self.error_at(row, cell, &format!("{text:?} is no round-trip time from 0 to {MAX_RTT_MS} ms"))
        })?;
        Ok(Some(delay_ns(rtt_ms)))
    }
}

/// The line of the record that is read next at a position, which empty lines may follow.
fn line_at(text: &[u8], position: u64) -> usize {
    let start = text.len().min(position as usize);
    let (before, rest) = text.split_at(start);
    let empty = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    1 + before.iter().chain(empty).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
impl Table {
    /// What stands in a file called `rtt.csv`.
    pub(super) fn of(text: &str) -> anyhow::Result<Table> {
        Table::parse("rtt.csv", text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_editors_do() {
        let table = Table::of("\u{feff}a, b\r\n\n\"x\ny\",2\n,3\n").unwrap();
        let lines: Vec<_> =
            table.rows.iter().map(|row| (table.line(row), row.cells.iter().collect())).collect();
        let expected: [(usize, Vec<&str>); 3] =
            [(1, vec!["a", "b"]), (3, vec!["x\ny", "2"]), (5, vec!["", "3"])];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_cell_is_a_round_trip_time_or_blank() {
        let table = Table::of("10,0, ,-1,inf,2001,1e1").unwrap();
        let delay = |cell| table.delay_at(&table.rows[0], cell).map_err(|error| error.to_string());
        assert_eq!(delay(0), Ok(Some(5_000_000)));
        assert_eq!((delay(1), delay(2), delay(6)), (Ok(Some(0)), Ok(None), Ok(Some(5_000_000))));
        let wrong = "rtt.csv, line 1, column 4: \"-1\" is no round-trip time from 0 to 2000 ms";
        assert_eq!(delay(3), Err(wrong.to_owned()));
        assert!(delay(4).is_err() && delay(5).is_err());
    }

    #[test]
    fn what_is_no_text_is_refused_where_it_stands() {
        let error = Table::parse("rtt.csv", b"a,b\nc,\xff\n").err().unwrap();
        assert_eq!(error.to_string(), "rtt.csv, line 2, column 2: not UTF-8");
    }
}
