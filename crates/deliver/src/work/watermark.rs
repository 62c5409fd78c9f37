use std::path::Path;

use async_trait::async_trait;
use base::{Bytes, Problem, Result};
use kernel::{Ctx, Hook, Wish};

/// Refuses new sources before the disk is so full that what runs would suffer.
pub(crate) struct DiskWatermark;

#[async_trait]
impl Hook for DiskWatermark {
    fn name(&self) -> &'static str {
        "disk-watermark"
    }

    fn order(&self) -> u32 {
        10
    }

    async fn check(&self, ctx: &Ctx, wish: &Wish) -> Result<()> {
        if wish.kind != "deliver.source" {
            return Ok(());
        }
        let config = ctx.platform().config();
        match free(&config.data) {
            Ok(free) => judge(free, config.build.disk_reserve),
            Err(problem) => {
                tracing::warn!(%problem, "the free space of the data directory is not known");
                Ok(())
            }
        }
    }
}

fn free(folder: &Path) -> Result<Bytes> {
    let found = rustix::fs::statvfs(folder).map_err(|e| Problem::unavailable("disk-unknown", e))?;
    Ok(Bytes(found.f_bavail.saturating_mul(found.f_frsize)))
}

fn judge(free: Bytes, reserve: Bytes) -> Result<()> {
    if free.0 >= reserve.0 {
        return Ok(());
    }
    let (free, reserve) = (free.0 >> 20, reserve.0 >> 20);
    Err(Problem::unavailable(
        "disk-low",
        format!("the platform's disk has {free} MiB left, and {reserve} MiB are kept free"),
    )
    .hint("an operator has to make room in the data directory, or lower `build.disk_reserve`")
    .retry_after(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_refused_below_the_reserve() {
        assert!(judge(Bytes(2 << 30), Bytes(1 << 30)).is_ok());
        assert!(judge(Bytes(1 << 30), Bytes(1 << 30)).is_ok());
        let problem = judge(Bytes((1 << 30) - 1), Bytes(1 << 30)).unwrap_err();
        assert_eq!((problem.code.as_ref(), problem.kind), ("disk-low", base::Kind::Unavailable));
        assert!(free(Path::new("/")).unwrap().0 > 0);
    }
}
