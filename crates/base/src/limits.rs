//! The bounds of the platform, in one place, each with its unit in its name. A queue, map or
//! buffer without an entry here (or in its crate's configuration) has no place in Orlop.

use std::time::Duration;

/// Largest JSON body the API reads, bytes.
pub const API_BODY_BYTES_MAX: usize = 1 << 20;
/// Longest time an API call may take before it is answered with a timeout.
pub const API_DEADLINE: Duration = Duration::from_secs(30);
/// Largest page of a list, items.
pub const PAGE_ITEMS_MAX: u32 = 500;
/// Page of a list where the caller names no size, items.
pub const PAGE_ITEMS_DEFAULT: u32 = 100;
/// Largest service manifest, bytes.
pub const MANIFEST_BYTES_MAX: usize = 256 << 10;
/// Largest uploaded or pushed source, compressed, bytes.
pub const SOURCE_BYTES_MAX: u64 = 512 << 20;
/// Largest source when unpacked, bytes.
pub const SOURCE_UNPACKED_BYTES_MAX: u64 = 2 << 30;
/// Most files in a source.
pub const SOURCE_FILES_MAX: u64 = 200_000;
/// Largest artifact layer when unpacked, bytes.
pub const ARTIFACT_UNPACKED_BYTES_MAX: u64 = 4 << 30;
/// Largest value of a setting, bytes.
pub const SETTING_BYTES_MAX: usize = 64 << 10;
/// Most settings of one service in one environment.
pub const SETTINGS_MAX: usize = 500;
/// Most instances of one process of a service in one environment.
pub const INSTANCES_MAX: u32 = 100;
/// Longest line kept from an instance's output, bytes; the rest of it becomes further lines.
pub const LOG_LINE_BYTES_MAX: usize = 16 << 10;
/// Log kept of one instance, bytes; older lines go first.
pub const LOG_BYTES_MAX: u64 = 32 << 20;
/// Longest time an idempotency key is remembered.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3600);
