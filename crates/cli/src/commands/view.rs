noun! {
    /// List, keep and forget your own views of the services
    list => List,
    save => Save,
    remove => Remove,
}
