noun! {
    /// Where traffic goes
    list => List,
}
