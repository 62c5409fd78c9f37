noun! {
    /// List, show, make, change, remove and restore services
    list => List,
    show => Show,
    access => Access,
    create => Create,
    change => Change,
    remove => Remove,
    restore => Restore,
    impact => Impact,
}

use api::catalog::Service;
use base::Time;

use crate::output::{Paint, Table};
use crate::text::{ago, instant};

/// A service with all that is known of it.
fn describe(service: &Service, now: Time, paint: Paint) -> String {
    Table::pairs([
        ("service", service.service.to_string()),
        ("team", service.team.to_string()),
        ("about", service.description.clone()),
        ("made", instant(service.created)),
        ("removed", service.removed.map_or_else(String::new, |at| ago(at, now))),
        ("version", service.version.to_string()),
    ])
    .text(paint)
}
