noun! {
    /// List, show, plan, start, follow and stop rollouts
    list => List,
    show => Show,
    start => Start,
    plan => Plan,
    watch => Watch,
    cancel => Cancel,
}

pub use start::start;
