//! What an instance uses, where there are no control groups: counted over its processes.

use std::fs;

use base::Bytes;

/// Most processes that are counted; the limit of tasks is far below for real instances.
const PROCESSES_MAX: usize = 10_000;
/// The unit of times in `/proc/<pid>/stat` is fixed for user space (time(7), USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// Resident memory and processor microseconds of the living processes beneath init.
pub(super) fn of_tree(init: i32) -> (Option<Bytes>, Option<u64>) {
    let mut todo = vec![init];
    let (mut seen, mut pages, mut ticks) = (0, 0u64, 0u64);
    while let Some(pid) = todo.pop() {
        seen += 1;
        if seen > PROCESSES_MAX {
            break;
        }
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        todo.extend(children.split_whitespace().filter_map(|p| p.parse::<i32>().ok()));
        if pid == init {
            // A copy of the keeper: its memory is shared with it.
            continue;
        }
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let (used, held) = fields(&stat).unwrap_or_default();
        ticks += used;
        pages += held;
    }
    if seen <= 1 {
        return (None, None);
    }
    (
        Some(Bytes(pages.saturating_mul(crate::sys::page_bytes()))),
        Some(ticks.saturating_mul(1_000_000 / TICKS_PER_SECOND)),
    )
}

/// Ticks used by a process and the children it has waited for, and its resident pages (proc_pid_stat(5)).
fn fields(stat: &str) -> Option<(u64, u64)> {
    // The name in parentheses may hold anything; what follows the last one is numbers.
    let rest: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let number = |field: usize| rest.get(field - 3).and_then(|word| word.parse::<u64>().ok());
    let ticks = number(14)? + number(15)? + number(16)? + number(17)?;
    Some((ticks, number(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 200 0 0 10 20 3 4 20 0 1 0 99 1000000 321 18446744073709551615";
        assert_eq!(fields(stat), Some((37, 321)));
        assert_eq!(fields("garbage"), None);
    }
}
