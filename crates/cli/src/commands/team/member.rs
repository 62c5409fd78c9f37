noun! {
    /// Set and remove members of a team
    set => Set,
    remove => Remove,
}
