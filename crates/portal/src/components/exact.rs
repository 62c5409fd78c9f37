use std::time::Duration;

use base::Actor;

/// A span to the millisecond where it is short, to the second where it is long.
pub(crate) fn exactly(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0..=59 => format!("{seconds}.{millis:03} s"),
        60..=3_599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Who, without the word for the sort of actor where it is a person.
pub(crate) fn say_actor(actor: &Actor) -> String {
    match actor {
        Actor::Person(name) => name.to_string(),
        Actor::Platform(part) => format!("the platform ({part})"),
        Actor::Anonymous => "nobody known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_exact() {
        let told = [0, 340, 59_999, 60_000, 200_000, 7_500_000].map(|ms| exactly(Duration::from_millis(ms)));
        assert_eq!(told, ["0.000 s", "0.340 s", "59.999 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]);
        assert_eq!(say_actor(&Actor::Person("ada".parse().unwrap())), "ada");
    }
}
