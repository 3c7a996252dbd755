//! The gateway's bill: however it is cut into pieces the same is read, a shortened one is never a shorter one, what it says
//! at the end is what it has, and no more than a line is held.

use micropayd::gateway::wechat::{BadBill, Bill, LONGEST_LINE, Whole};
use micropayd::reconcile::{Kind, Row};

use super::head;

/// Two bytes say where it is cut into pieces, two more where it is cut off; the rest is the bill.
pub fn holds(mut data: &[u8]) {
    let split = usize::from(u16::from_le_bytes(head(&mut data)));
    let end = usize::from(u16::from_le_bytes(head(&mut data)));
    let (rows, done) = read([data]);
    let (one, two) = data.split_at(split % (data.len() + 1));
    assert_eq!(read([one, two]), (rows.clone(), done.clone()), "cut at {}", one.len());
    let step = split % 7 + 1;
    assert_eq!(read(data.chunks(step)), (rows.clone(), done.clone()), "in pieces of {step}");
    let Ok(whole) = done else { return };

    assert_eq!(whole.rows, rows.len() as u64, "it says how many lines it has");
    let text = std::str::from_utf8(data).expect("a bill is text");
    let mut last = text.lines().rev().filter(|line| !line.trim_end_matches('\r').is_empty());
    let said = last.next().and_then(|line| line.strip_prefix('`')?.split(",`").next());
    assert_eq!(said.and_then(|count| count.parse().ok()), Some(whole.rows), "and so does its last line");
    let amounts = rows.iter().map(|row| match row.kind {
        Kind::Paid { amount, .. } | Kind::Other { amount, .. } => u128::from(amount),
        Kind::Reversed { .. } | Kind::Refund { .. } => 0,
    });
    assert!(amounts.sum::<u128>() <= u128::from(whole.ordered), "more was paid than it came to");
    let lines = text.lines().filter(|line| line.starts_with('`')).count() as u64;
    assert_eq!(lines, whole.rows + 1, "each line is a row, but for the sums");
    for row in &rows {
        assert!(text.contains(&format!("`{}", row.order)), "an order that is nowhere");
        assert!(text.contains(&format!("`{}", row.gateway_txn)), "a number that is nowhere");
    }
    let end = end % (data.len() + 1);
    let (fewer, cut) = read([&data[..end]]);
    assert!(cut.is_err() || fewer == rows, "cut off at {end}, it is a shorter bill");
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Row>, Result<Whole, BadBill>) {
    let (mut rows, mut bill, mut come) = (Vec::new(), Bill::new(), 0);
    for piece in pieces {
        come += piece.len();
        if let Err(bad) = bill.push(piece, &mut |row| rows.push(row)) {
            assert_eq!(bill.held(), 0, "a bill that is refused is let go of");
            return (rows, Err(bad));
        }
        assert!(bill.held() <= LONGEST_LINE.min(come), "{} bytes are held of {come}", bill.held());
    }
    let done = bill.finish(&mut |row| rows.push(row));
    (rows, done)
}
