noun! {
    /// Read and check the audit trail
    list => List,
    verify => Verify,
}
