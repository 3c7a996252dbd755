//! A page of the log: by index where there is one, else by looking at a bounded number of sales.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::fault::Fault;
use super::rows::{self, Found, day_number, phase_tag};
use crate::ids::{RefundNumber, SaleId};
use crate::sale::{Filter, Page};

/// The most sales that a page holds.
const PAGE_MAX: usize = 1_000;

/// The most sales that are looked at for one page where no index helps. The page is then short and has a cursor.
const LOOK_AT: i64 = 10_000;

/// As many hits as an index is trusted to sort; what has more is found soon by looking at the newest sales.
const FEW: usize = 200;

/// The newest sales that `filter` lets through; the cursor is a sale's number.
pub fn page(conn: &Connection, filter: &Filter) -> Result<Page, Fault> {
    let limit = filter.limit.clamp(1, PAGE_MAX);
    if let Some(text) = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty())
        && let Some(numbers) = few(conn, text)?.or(few(conn, &text.to_ascii_uppercase())?)
    {
        return chosen(conn, filter, limit, &numbers);
    }
    scan(conn, filter, limit)
}

/// The numbers of all sales whose id, reference or gateway's number begins with `text`, or of whose numbers it is one, if
/// they are few but some.
fn few(conn: &Connection, text: &str) -> Result<Option<Vec<i64>>, Fault> {
    // An order number is a sale's id and two digits.
    let sale = text.get(..text.len().saturating_sub(2)).filter(|id| id.len() >= 16).unwrap_or(text);
    let refunded = text.parse::<RefundNumber>().map(|number| number.split().0);
    let refunded = refunded.as_ref().map_or(text, SaleId::as_str);
    let mut numbers = Vec::new();
    let places = [("id", text), ("reference", text), ("number", text), ("id", sale), ("id", refunded)];
    for (column, from) in places {
        let exact = column == "id" && from.len() < text.len();
        let sql = match exact {
            true => format!("SELECT n FROM sale WHERE {column} = ?1 AND ?2 <> '' LIMIT ?3"),
            false => format!("SELECT n FROM sale WHERE {column} >= ?1 AND {column} < ?2 LIMIT ?3"),
        };
        let mut statement = conn.prepare_cached(&sql)?;
        // No text that begins with `text` sorts after it with the last character there is.
        let end = format!("{from}\u{10ffff}");
        let found = statement.query_map((from, end, FEW as i64 + 1), |row| row.get::<_, i64>(0))?;
        for n in found {
            numbers.push(n?);
        }
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.dedup();
    Ok((1..=FEW).contains(&numbers.len()).then_some(numbers))
}

fn chosen(conn: &Connection, filter: &Filter, limit: usize, numbers: &[i64]) -> Result<Page, Fault> {
    let mut found = Vec::new();
    for n in numbers.iter().filter(|n| before(filter).is_none_or(|before| **n < before)) {
        found.extend(rows::by_number(conn, *n)?.filter(|found| passes(filter, found)));
        if found.len() > limit {
            break;
        }
    }
    Ok(cut(found, limit, None))
}

/// The first `limit` of what was found; the cursor is the last one's, or `rest` if nothing found was left out.
fn cut(mut found: Vec<Found>, limit: usize, rest: Option<i64>) -> Page {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = if more { found.last().map(|last| last.n) } else { rest };
    Page { sales: found.into_iter().map(|found| found.sale).collect(), next: next.map(i64::unsigned_abs) }
}

fn before(filter: &Filter) -> Option<i64> {
    filter.before.map(|before| i64::try_from(before).unwrap_or(i64::MAX))
}

/// Whether a sale found by its text is also on the right day, in the right phase and under the right reference.
fn passes(filter: &Filter, found: &Found) -> bool {
    let Found { sale, .. } = found;
    filter.day.is_none_or(|day| day_number(day.start()) == day_number(sale.created_at))
        && filter.phase.is_none_or(|phase| phase == sale.payment.phase())
        && filter.reference.as_ref().is_none_or(|reference| sale.reference.as_ref() == Some(reference))
}

fn scan(conn: &Connection, filter: &Filter, limit: usize) -> Result<Page, Fault> {
    let unfinished = filter.phase.is_some_and(|phase| !phase.is_final());
    let mut terms = Vec::new();
    if unfinished {
        // As a constant: only so can the planner know that the index of open sales holds all of them.
        terms.push("s.open = 1".to_owned());
    }
    let mut values: Vec<Value> = Vec::new();
    let mut term = |sql: &str, value: Value| {
        values.push(value);
        terms.push(sql.replace('?', &format!("?{}", values.len())));
    };
    let indexed = filter.day.is_some() || filter.reference.is_some() || unfinished;
    if let Some(day) = filter.day {
        term("s.day = ?", day_number(day.start()).into());
    }
    if let Some(reference) = &filter.reference {
        term("s.reference = ?", reference.clone().into());
    }
    if let Some(phase) = filter.phase {
        term("s.phase = ?", phase_tag(phase).into());
    }
    if let Some(text) = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        let columns = "s.id || char(31) || coalesce(s.reference, '') || char(31) || coalesce(s.number, '')";
        // The end of an order number is the end of an id and two digits.
        term(
            &format!(
                "(instr(upper({columns}), upper(?)) > 0 OR (length(?) > 5 AND ? GLOB '*[0-9][0-9]' AND \
                upper(substr(s.id, 2 - length(?))) = upper(substr(?, 1, length(?) - 2))))"
            ),
            text.to_owned().into(),
        );
    }
    let newest: i64 = conn.query_row("SELECT coalesce(max(n), 0) FROM sale", [], |row| row.get(0))?;
    let before = before(filter).unwrap_or(newest + 1).min(newest + 1);
    term("s.n < ?", before.into());
    let lowest = if indexed { 0 } else { (before - LOOK_AT).max(0) };
    term("s.n >= ?", lowest.into());
    let rest = format!("WHERE {} ORDER BY s.n DESC LIMIT {}", terms.join(" AND "), limit + 1);
    let found = rows::sales(conn, &rest, rusqlite::params_from_iter(values))?;
    Ok(cut(found, limit, (lowest > 1).then_some(lowest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::schema;

    /// Sales with these names, references and numbers of the gateway, numbered from 1.
    fn log(sales: impl IntoIterator<Item = (String, String, String)>) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        schema::migrate(&conn, 0, &schema::MIGRATIONS).unwrap();
        for sale in sales {
            conn.execute(
                "INSERT INTO sale (id, reference, number, base, last, day, phase, open) VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0)",
                sale,
            )
            .unwrap();
        }
        conn
    }

    fn named(id: &str, reference: &str, number: &str) -> (String, String, String) {
        (id.to_owned(), reference.to_owned(), number.to_owned())
    }

    #[test]
    fn an_index_finds_the_beginning_of_a_name_a_reference_and_a_number_and_a_whole_order() {
        let conn = log([
            named("T01261128000001AAAAAA", "POS-1", "4200001"),
            named("T01261128000001AAABBB", "POS-2", "4200002"),
            named("T01261128000003AAAAAA", "pos-3", "4300003"),
        ]);
        let found = |text| few(&conn, text).unwrap();
        assert_eq!(found("T01261128000001AAAAAA"), Some(vec![1]));
        assert_eq!(found("T01261128000001AAAAAA02"), Some(vec![1]), "the name and two digits");
        assert_eq!(found("T01261128000003AAAAAAR01X7K"), Some(vec![3]), "a refund's number");
        assert_eq!(found("T01261128000001AAAAA"), Some(vec![1]), "not all that share all but two characters");
        assert_eq!(found("T01261128000001A"), Some(vec![2, 1]));
        assert_eq!(found("T012611280000"), Some(vec![3, 2, 1]));
        assert_eq!(found("POS-"), Some(vec![2, 1]));
        assert_eq!(found("pos-"), Some(vec![3]));
        assert_eq!(found("42"), Some(vec![2, 1]));
        assert_eq!(found("OS-"), None, "in the middle only a look at the sales finds it");
        assert_eq!(found("Z"), None);
    }

    #[test]
    fn what_an_index_finds_too_often_is_looked_for_among_the_newest() {
        let sale = |n: usize| named(&format!("T01261128{n:06}AAAAAA"), "POS", &format!("42{n:05}"));
        let conn = log((1..=FEW).map(sale));
        assert_eq!(few(&conn, "POS").unwrap().map(|numbers| numbers.len()), Some(FEW));
        let conn = log((1..=FEW + 1).map(sale));
        assert_eq!(few(&conn, "POS").unwrap(), None);
        assert_eq!(few(&conn, "4200007").unwrap(), Some(vec![7]));
    }
    #[test]
    fn where_no_index_helps_so_many_are_looked_at_and_a_cursor_goes_on() {
        let conn = log([]);
        let fill = |from: i64, to: i64| {
            let sql = format!(
                "WITH RECURSIVE n(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM n WHERE n < {to})
                INSERT INTO sale SELECT n, 'T' || n, 0, 0, 0, 0, 0, NULL, NULL, NULL FROM n"
            );
            conn.execute_batch(&sql).unwrap();
        };
        let nowhere = Filter { text: Some("nowhere".to_owned()), limit: 5, ..Filter::default() };
        let next = |filter: &Filter| page(&conn, filter).unwrap().next;
        fill(1, LOOK_AT);
        assert_eq!(next(&nowhere), None, "all of them were looked at");
        fill(LOOK_AT + 1, LOOK_AT + 50);
        assert_eq!(next(&nowhere), Some(51));
        assert_eq!(next(&Filter { before: Some(51), ..nowhere.clone() }), None);
        let day = Some(crate::time::Timestamp(0).day());
        assert_eq!(next(&Filter { day, ..nowhere.clone() }), None, "an index has all of a day");
        assert_eq!(next(&Filter { reference: Some("R".to_owned()), ..nowhere }), None);
    }
}
