noun! {
    /// Show and stop builds
    show => Show,
    log => Log,
    cancel => Cancel,
}
