//! Reads how many tests passed from what the runners print.

/// Tests that were run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Tests that passed, at the first try or a later one.
    pub passed: u64,
    /// Tests that failed, timed out or could not be started.
    pub failed: u64,
    /// Tests that were left out.
    pub skipped: u64,
    /// Stages that said themselves which tests failed.
    pub stages_with_failures: u64,
}

/// Whose lines are read. Each shows the other's lines when it shows what a failed test printed.
#[derive(Clone, Copy)]
pub enum Runner {
    /// `cargo test`.
    Libtest,
    /// `cargo nextest run`.
    Nextest,
}

impl Count {
    /// Adds what one stage counted.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.stages_with_failures += u64::from(other.failed > 0);
    }

    /// Adds what a line of the runner says, if it is a closing line of it.
    pub fn read(&mut self, runner: Runner, line: &str) {
        let plain = without_colours(line);
        match runner {
            Runner::Libtest => self.read_libtest(plain.trim()),
            Runner::Nextest => self.read_nextest(plain.trim()),
        }
    }

    /// One line per test program: they add up.
    fn read_libtest(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let counts = rest.split_once(". ").map_or(rest, |(_, counts)| counts);
            self.pairs(counts.split(';'));
        }
    }

    /// One line for all: the last one counts.
    fn read_nextest(&mut self, line: &str) {
        if let Some((_, counts)) = line.strip_prefix("Summary [").and_then(|rest| rest.split_once(" run: ")) {
            *self = Self::default();
            // `(2 slow, 1 flaky)` tells of tests that are already counted.
            let mut outside = String::new();
            let mut depth = 0;
            for c in counts.chars() {
                match c {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    c if depth == 0 => outside.push(c),
                    _ => {}
                }
            }
            self.pairs(outside.split(','));
        }
    }

    fn pairs<'a>(&mut self, pairs: impl Iterator<Item = &'a str>) {
        for pair in pairs {
            let mut words = pair.split_whitespace();
            let (Some(Ok(number)), Some(word)) = (words.next().map(str::parse::<u64>), words.next()) else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" | "timed" | "exec" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

/// The line without the codes that colour it on a terminal.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(runner: Runner, lines: &str, passed: u64, failed: u64, skipped: u64) {
        let mut count = Count::default();
        lines.lines().for_each(|line| count.read(runner, line));
        assert_eq!((count.passed, count.failed, count.skipped), (passed, failed, skipped), "{lines}");
    }

    #[test]
    fn lines_of_cargo_test_add_up() {
        let check = |lines, passed, failed, skipped| check(Runner::Libtest, lines, passed, failed, skipped);
        check("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.1s", 3, 0, 1);
        check("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", 3, 2, 0);
        check(
            "test result: ok. 3 passed; 0 failed; 0 ignored\ntest result: ok. 4 passed; 0 failed; 0 ignored",
            7,
            0,
            0,
        );
        check("test a ... ok", 0, 0, 0);
        check("the test result: ok. 9 passed", 0, 0, 0);
    }

    #[test]
    fn the_last_summary_of_nextest_counts() {
        let check = |lines, passed, failed, skipped| check(Runner::Nextest, lines, passed, failed, skipped);
        check("     Summary [   0.005s] 1 test run: 1 passed, 0 skipped", 1, 0, 0);
        check("Summary [  9.1s] 12 tests run: 10 passed (2 slow, 1 flaky), 1 failed, 1 timed out, 3 skipped", 10, 2, 3);
        check("Summary [  9.1s] 4/12 tests run: 1 passed, 2 failed, 1 exec failed, 0 skipped", 1, 3, 0);
        let coloured = "\u{1b}[32;1m     Summary\u{1b}[0m [   1.0s] \u{1b}[1m7\u{1b}[0m tests run: \u{1b}[1m7\u{1b}[0m passed, 0 skipped";
        check(coloured, 7, 0, 0);
        let shown = "test result: FAILED. 0 passed; 1 failed; 0 ignored\nSummary [ 1s] 2 tests run: 1 passed, 1 failed, 0 skipped";
        check(shown, 1, 1, 0);
        check("Summary [ 1s] 9 tests run: 9 passed\nSummary [ 1s] 2 tests run: 2 passed, 0 skipped", 2, 0, 0);
    }
}
