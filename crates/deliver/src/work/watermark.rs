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
        match kernel::room::free(&config.data) {
            Ok(free) => judge(free, config.build.disk_reserve),
            Err(problem) => {
                tracing::warn!(%problem, "the free space of the data directory is not known");
                Ok(())
            }
        }
    }
}

/// A build that runs is ended when half of the reserve is gone: what runs, and the database, must
/// not meet the end of the disk because somebody builds.
pub(super) fn pressing(config: &kernel::Config) -> Option<Problem> {
    let free = kernel::room::free(&config.data).ok()?;
    let least = Bytes(config.build.disk_reserve.0 / 2);
    (free.0 < least.0).then(|| {
        let (free, least) = (free.0 >> 20, least.0 >> 20);
        Problem::conflict(
            "disk-low",
            format!("the build was ended: the platform's disk has {free} MiB left, builds end below {least} MiB"),
        )
        .hint("deploy again once an operator has made room in the data directory")
    })
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
    }
}
