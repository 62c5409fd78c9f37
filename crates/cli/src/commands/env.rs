noun! {
    /// Environments: their order, and what each one runs
    list => List,
    put => Put,
    board => Board,
}
