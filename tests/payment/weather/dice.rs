//! Chance that can be repeated: a seed is a payment's whole fate, and a budget says how many of its faults come true.

/// Pseudo-random numbers (splitmix64).
pub struct Dice {
    state: u64,
    severity: u64,
    faults_left: u32,
    faults: u32,
}

impl Dice {
    /// The fate of payment `number` of a run. At most `budget` of its faults come true, the earliest.
    pub fn new(seed: u64, number: u64, budget: u32) -> Self {
        let state = seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ number.wrapping_mul(0xAEF1_7502_108E_F2D9);
        let mut dice = Self { state, severity: 1, faults_left: budget, faults: 0 };
        dice.severity = match dice.below(10) {
            0..=5 => 1,
            6..=8 => 4,
            _ => 12,
        };
        dice
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// One of `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    /// Whether something ordinary happens that happens `per_mille` times of a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// Whether something goes wrong that goes wrong `per_mille` times of a thousand in fair weather, up to twelve times
    /// as often in foul, but never more often than not.
    pub fn fault(&mut self, per_mille: u64) -> bool {
        let comes_true = self.chance((per_mille * self.severity).min(500)) && self.faults_left > 0;
        if comes_true {
            self.faults_left -= 1;
            self.faults += 1;
        }
        comes_true
    }

    /// No more faults from here on.
    pub fn calm(&mut self) {
        self.faults_left = 0;
    }

    /// Whether nothing goes wrong any more.
    pub fn is_calm(&self) -> bool {
        self.faults_left == 0
    }

    /// How many faults came true.
    pub fn faults(&self) -> u32 {
        self.faults
    }
}
