noun! {
    /// List, issue and revoke your tokens
    list => List,
    create => Create,
    revoke => Revoke,
}
