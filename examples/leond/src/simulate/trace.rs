//! Round-trip times that change, from CSV: a line for each pair of sites.

use std::collections::BTreeMap;

use super::csv::Table;
use super::underlay::{Delays, Underlay};

/// The delays from one site to another in each frame, and the index of the row that gives them.
type Series = BTreeMap<(usize, usize), (usize, Vec<Option<u64>>)>;

/// The sites and delays of lines `i,j,t1,...,tn`. A first line whose third cell is no round-trip time is a header.
pub(super) fn read(table: &Table) -> anyhow::Result<Underlay> {
    let mut names: Vec<String> = Vec::new();
    let mut series = Series::new();
    let is_header = |cells: &csv::StringRecord| cells.get(2).is_some_and(is_word);
    let headers = table.rows.first().is_some_and(|row| is_header(&row.cells)).into();
    let mut frames = None;
    for (index, row) in table.rows.iter().enumerate().skip(headers) {
        if row.cells.len() < 3 {
            return Err(table.error_in(row, "not two names and a round-trip time"));
        }
        let count = row.cells.len() - 2;
        let expected = *frames.get_or_insert(count);
        if count != expected {
            let what = format!("{count} frames, but the lines before have {expected}");
            return Err(table.error_in(row, &what));
        }
        let [from, to] = [0, 1].map(|cell| (cell, &row.cells[cell]));
        let [from, to] = [from, to].map(|(cell, name)| match name {
            "" => Err(table.error_at(row, cell, "a site has no name")),
            name => Ok(index_of(&mut names, name)),
        });
        let (from, to) = (from?, to?);
        if from == to {
            return Err(table.error_in(row, "both names are the same"));
        }
        if let Some((former, _)) = series.get(&(from, to)) {
            let line = table.line(&table.rows[*former]);
            return Err(table.error_in(row, &format!("line {line} has this pair already")));
        }
        let delays = (2..row.cells.len()).map(|cell| table.delay_at(row, cell)).collect::<Result<_, _>>()?;
        series.insert((from, to), (index, delays));
    }
    let frames = frames.ok_or_else(|| table.error("no pair of sites"))?;
    let delays = |frame| frame_of(&series, names.len(), frame);
    Ok(Underlay { frames: (0..frames).map(delays).collect(), names })
}

/// True if a cell is neither blank nor a number.
fn is_word(cell: &str) -> bool {
    !cell.is_empty() && cell.parse::<f64>().is_err()
}

fn index_of(names: &mut Vec<String>, name: &str) -> usize {
    let index = names.iter().position(|known| known == name);
    index.unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

/// The delays in one frame. A direction without a line has those of the other one.
fn frame_of(series: &Series, sites: usize, frame: usize) -> Delays {
    let delay = |from, to| series.get(&(from, to)).or(series.get(&(to, from)))?.1[frame];
    (0..sites).map(|from| (0..sites).map(|to| delay(from, to)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Underlay, String> {
        super::read(&Table::of(text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_frame_has_its_delays_and_one_line_gives_both_directions() {
        let underlay = read("i,j,t1,t2\na,b,10,12\nb,c,,4\nc,b,2,6\n").unwrap();
        assert_eq!(underlay.names, ["a", "b", "c"]);
        let ms = |rtt: u64| Some(rtt * 500_000);
        let first = vec![vec![None, ms(10), None], vec![ms(10), None, None], vec![None, ms(2), None]];
        let second = vec![vec![None, ms(12), None], vec![ms(12), None, ms(4)], vec![None, ms(6), None]];
        assert_eq!(underlay.frames, [first, second]);
        assert_eq!(read("a,b,10,12\nb,c,,4\nc,b,2,6\n").unwrap(), underlay, "a header may be left out");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, message) in [
            ("i,j,t1\n", "rtt.csv: no pair of sites"),
            ("a,b\n", "rtt.csv, line 1: not two names and a round-trip time"),
            ("a,b,1,2\nb,c,1\n", "rtt.csv, line 2: 1 frames, but the lines before have 2"),
            ("i,j,t1\na,a,1\n", "rtt.csv, line 2: both names are the same"),
            ("a,b,1\na,b,1\n", "rtt.csv, line 2: line 1 has this pair already"),
            ("a,b,1\n,b,1\n", "rtt.csv, line 2, column 1: a site has no name"),
            (
                "a,b,1,2\nb,c,1,-2\n",
                "rtt.csv, line 2, column 4: \"-2\" is no round-trip time from 0 to 2000 ms",
            ),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text:?}");
        }
    }
}
