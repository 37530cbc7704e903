//! `filter`: of the entries for which its condition holds, as many are dropped as it says.

/// Whether the next one is among them.
pub(super) fn drops(per_mille: u16) -> bool {
    per_mille >= 1_000 || fastrand::u16(..1_000) < per_mille
}
