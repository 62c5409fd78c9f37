use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Paint, Tone};
use crate::{Host, Stream};

/// How often the live line is drawn anew.
const EVERY: Duration = Duration::from_millis(100);
const FRAMES: [&str; 8] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"];

/// One line at the bottom of a terminal that is drawn anew in its place; nothing where no person looks.
pub struct Live<'h> {
    host: &'h dyn Host,
    on: bool,
    paint: Paint,
    frame: AtomicUsize,
}

impl<'h> Live<'h> {
    pub fn new(host: &'h dyn Host, on: bool, paint: Paint) -> Self {
        Self { host, on, paint, frame: AtomicUsize::new(0) }
    }

    /// Whether a person looks.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Waits until the line is due again; for ever where no person looks.
    pub async fn tick(&self) {
        if self.on {
            tokio::time::sleep(EVERY).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Draws the line.
    pub fn draw(&self, text: &str) {
        if !self.on {
            return;
        }
        let i = self.frame.fetch_add(1, Ordering::Relaxed) % FRAMES.len();
        let frame = FRAMES.get(i).copied().unwrap_or_default();
        // A line that wraps could not be drawn over.
        let room = self.host.columns().saturating_sub(3);
        let text: String = text.chars().take(room).collect();
        self.write(&format!("\r\u{1b}[2K{} {text}", self.paint.tone(Tone::Warn, frame)));
    }

    /// Takes the line away, so that something else can be written.
    pub fn clear(&self) {
        if self.on {
            self.write("\r\u{1b}[2K");
        }
    }

    /// Draws `line` while `work` is done.
    pub async fn during<T>(&self, work: impl Future<Output = T>, line: impl Fn() -> String) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.clear();
                    return done;
                }
                () = self.tick() => self.draw(&line()),
            }
        }
    }

    fn write(&self, text: &str) {
        let _ = self.host.write(Stream::Err, text.as_bytes());
    }
}
