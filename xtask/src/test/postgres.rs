//! Finds a PostgreSQL whose programs the store's tests can start.

use std::path::{Path, PathBuf};

/// The variable that tells the tests where the programs are.
pub const VARIABLE: &str = "ORLOP_TEST_PG_BIN";
/// The programs a server of one's own takes.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];
/// Where systems put them: a folder, and what lies below each of its entries.
const PLACES: [(&str, &str); 4] =
    [("/usr/lib/postgresql", "bin"), ("/usr", "bin"), ("/opt/homebrew/opt", "bin"), ("/usr/local/opt", "bin")];

/// The folder of the newest complete set of programs: the one that the variable names, else on the
/// path, else where systems put them.
pub fn find() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    named
        .into_iter()
        .chain(on_path)
        .filter(|dir| dir.is_absolute())
        .find(|dir| is_complete(dir))
        .map(real)
        .or_else(installed)
}

fn installed() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (place, below) in PLACES {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let dir = entry.path().join(below);
            let name = entry.file_name().to_string_lossy().into_owned();
            let about_postgres = place.contains("postgres") || name.contains("postgres") || name.contains("pgsql");
            if about_postgres && is_complete(&dir) {
                found.push((version(&name), dir));
            }
        }
    }
    found.into_iter().max().map(|(_, dir)| dir)
}

fn is_complete(dir: &Path) -> bool {
    PROGRAMS.iter().all(|program| dir.join(program).is_file())
}

/// Follows links: `initdb` looks for `postgres` beside itself.
fn real(dir: PathBuf) -> PathBuf {
    let followed = std::fs::canonicalize(dir.join("initdb")).ok().and_then(|file| file.parent().map(Path::to_path_buf));
    followed.filter(|dir| is_complete(dir)).unwrap_or(dir)
}

/// The first number in a folder's name: 15 of `15`, 17 of `postgresql@17`, 16 of `pgsql-16`.
fn version(name: &str) -> u32 {
    let digits = name.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_folder_names() {
        for (name, expect) in [("15", 15), ("9.6", 9), ("postgresql@17", 17), ("pgsql-16", 16), ("libpq", 0)] {
            assert_eq!(version(name), expect, "{name}");
        }
    }

    #[test]
    fn a_folder_without_all_programs_is_not_complete() {
        assert!(!is_complete(Path::new("/nonexistent")));
    }
}
