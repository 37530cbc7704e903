//! Under construction.
pub(super) fn router() -> axum::Router<crate::store::Store> { axum::Router::new() }
