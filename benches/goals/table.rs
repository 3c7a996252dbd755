//! Shares of measured times, and the table.

use std::time::Duration;

/// One line of the table.
pub struct Row {
    pub goal: &'static str,
    pub what: String,
    pub ours: String,
    pub floor: String,
    pub ratio: String,
    /// None where there is nothing to compare with here.
    pub met: Option<bool>,
}

/// The value below which `permille` of the times are.
pub fn at(times: &[Duration], permille: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

/// p50 and p99, in microseconds.
pub fn both(times: &[Duration]) -> String {
    format!("{} / {} µs", at(times, 500).as_micros(), at(times, 990).as_micros())
}

pub fn ratio(ours: Duration, floor: Duration) -> f64 {
    ours.as_secs_f64() / floor.as_secs_f64().max(1e-9)
}

/// A goal that is a ratio of two times at one share.
pub fn compared(
    goal: &'static str,
    what: impl Into<String>,
    ours: &[Duration],
    floor: &[Duration],
    permille: usize,
    limit: f64,
) -> Row {
    let [ratio, middle] = [permille, 500].map(|share| ratio(at(ours, share), at(floor, share)));
    let also = if permille == 500 { String::new() } else { format!(", p50 {middle:.2}") };
    Row {
        goal,
        what: what.into(),
        ours: both(ours),
        floor: both(floor),
        ratio: format!("{ratio:.2} ≤ {limit}{also}"),
        met: Some(ratio <= limit),
    }
}

pub fn print(rows: &[Row]) {
    println!("| goal | what | ours | floor | ratio or limit | met? |");
    println!("|---|---|---|---|---|---|");
    for Row { goal, what, ours, floor, ratio, met } in rows {
        let met = met.map_or("–", |met| if met { "yes" } else { "**no**" });
        println!("| {goal} | {what} | {ours} | {floor} | {ratio} | {met} |");
    }
}
