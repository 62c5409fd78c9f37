/// The method of the synthetic request that stands for a refused one. The gate itself refuses it
/// from clients, so it cannot be forged.
pub(crate) const REFUSED_METHOD: &str = "ORLOP-REFUSED";

/// Why the gate does not let a request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status that the RFC names.
    pub(crate) status: u16,
    /// Stable word for programs.
    pub(crate) code: &'static str,
    /// What was found, one sentence.
    pub(crate) detail: &'static str,
    /// Where the rule is written.
    pub(crate) rule: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: u16, code: &'static str, detail: &'static str, rule: &'static str) -> Self {
        Self { status, code, detail, rule }
    }

    /// A plain 400.
    pub(crate) const fn bad(code: &'static str, detail: &'static str, rule: &'static str) -> Self {
        Self::new(400, code, detail, rule)
    }
}
