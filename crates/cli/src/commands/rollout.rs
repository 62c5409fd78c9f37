noun! {
    /// List, show, start, follow and stop rollouts
    list => List,
    show => Show,
    start => Start,
    watch => Watch,
    cancel => Cancel,
}

pub use start::start;
