//! A square matrix of round-trip times, from CSV.

use super::csv::{Row, Table};
use super::underlay::Underlay;

/// The sites and delays of a square matrix whose first row and first column hold the same names.
pub(super) fn read(table: &Table) -> anyhow::Result<Underlay> {
    let Some((header, rows)) = table.rows.split_first() else {
        return Err(table.error("the file is empty"));
    };
    let names = names(table, header)?;
    let row_of = |(index, row)| delays(table, &names, index, row);
    let delays = rows.iter().enumerate().map(row_of).collect::<anyhow::Result<Vec<_>>>()?;
    if delays.len() < names.len() {
        let rows =
            if delays.len() == 1 { "is 1 row".to_owned() } else { format!("are {} rows", delays.len()) };
        let what = format!("the header names {} sites, but there {rows}", names.len());
        return Err(table.error(&what));
    }
    Ok(Underlay { names, frames: vec![delays] })
}

fn names(table: &Table, header: &Row) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for (cell, name) in header.cells.iter().enumerate().skip(1) {
        if name.is_empty() {
            return Err(table.error_at(header, cell, "a site has no name"));
        }
        if names.iter().any(|known| known == name) {
            return Err(table.error_at(header, cell, &format!("{name:?} is the name of two sites")));
        }
        names.push(name.to_owned());
    }
    if names.len() < 2 {
        return Err(table.error_in(header, "the header names fewer than two sites"));
    }
    Ok(names)
}

/// The delays from the site of this index.
fn delays(table: &Table, names: &[String], index: usize, row: &Row) -> anyhow::Result<Vec<Option<u64>>> {
    let Some(name) = names.get(index) else {
        return Err(table.error_in(row, "there are more rows than columns"));
    };
    if row.cells[0] != **name {
        let what = format!("{:?} stands where the header has {name:?}", &row.cells[0]);
        return Err(table.error_at(row, 0, &what));
    }
    let cells = row.cells.len() - 1;
    if cells != names.len() {
        let what = format!("{cells} round-trip times, but the header names {} sites", names.len());
        return Err(table.error_in(row, &what));
    }
    let delay = |to| if to == index { Ok(None) } else { table.delay_at(row, to + 1) };
    (0..names.len()).map(delay).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Underlay, String> {
        super::read(&Table::of(text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_cell_gives_the_delay_of_its_direction() {
        let underlay = read("rtt,a,b,c\na,0,10,\nb,20,0,7\nc,4,8,0\n").unwrap();
        assert_eq!(underlay.names, ["a", "b", "c"]);
        let ms = |rtt: u64| Some(rtt * 500_000);
        let rows = [vec![None, ms(10), None], vec![ms(20), None, ms(7)], vec![ms(4), ms(8), None]];
        assert_eq!(underlay.frames, [rows]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, message) in [
            ("", "rtt.csv: the file is empty"),
            ("rtt,a\na,0\n", "rtt.csv, line 1: the header names fewer than two sites"),
            ("rtt,a,\na,0,1\n", "rtt.csv, line 1, column 3: a site has no name"),
            ("rtt,a,a\n", "rtt.csv, line 1, column 3: \"a\" is the name of two sites"),
            ("rtt,a,b\na,0,1\n", "rtt.csv: the header names 2 sites, but there is 1 row"),
            ("rtt,a,b\nb,0,1\n", "rtt.csv, line 2, column 1: \"b\" stands where the header has \"a\""),
            ("rtt,a,b\na,0\n", "rtt.csv, line 2: 1 round-trip times, but the header names 2 sites"),
            ("rtt,a,b\na,0,1\nb,1,0\nc,1,1\n", "rtt.csv, line 4: there are more rows than columns"),
            (
                "rtt,a,b\na,0,1\n\nb,fast,0\n",
                "rtt.csv, line 4, column 2: \"fast\" is no round-trip time from 0 to 2000 ms",
            ),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text:?}");
        }
    }
}
