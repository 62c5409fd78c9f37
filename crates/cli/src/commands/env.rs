noun! {
    /// Environments: their order, and what each one runs
    list => List,
    put => Put,
    board => Board,
    compare => Compare,
}

pub use compare::setting as setting_difference;
