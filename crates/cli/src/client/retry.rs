use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

/// Most attempts at one call.
const ATTEMPTS_MAX: u32 = 4;
/// Longest pause that the server may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// When to try again. Only what is certain not to have happened is repeated: a refused connection,
/// or an answer that says when to come back.
pub struct Patience {
    first: Duration,
}

impl Patience {
    pub fn new(first: Duration) -> Self {
        Self { first }
    }

    /// The pause before the next attempt; nothing when this outcome is the final one.
    pub fn after(&self, sent: &reqwest::Result<Response>, tried: u32) -> Option<Duration> {
        if tried >= ATTEMPTS_MAX {
            return None;
        }
        match sent {
            Err(e) if e.is_connect() => Some(self.pause(tried)),
            Err(_) => None,
            Ok(response) => match response.status() {
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                    let asked = retry_after(response)?;
                    (asked <= PAUSE_MAX).then(|| asked.max(self.pause(tried)))
                }
                _ => None,
            },
        }
    }

    /// The pause after so many failures in a row, doubling up to a bound, spread by a quarter so
    /// that many clients do not come back at once.
    pub fn pause(&self, failures: u32) -> Duration {
        let whole = self.first.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(PAUSE_MAX);
        let spread = u32::from(failures.wrapping_mul(0x9e37_79b9) as u8 ^ std::process::id() as u8);
        whole.mul_f64(0.75 + f64::from(spread) / 1024.0)
    }
}

/// What `Retry-After` says, if it says seconds (RFC 9110 §10.2.3).
pub fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let patience = Patience::new(Duration::from_millis(100));
        for failures in 1..40 {
            let pause = patience.pause(failures);
            assert!(pause >= Duration::from_millis(75) && pause <= PAUSE_MAX, "{failures}: {pause:?}");
        }
        assert!(patience.pause(4) > patience.pause(1));
    }
}
