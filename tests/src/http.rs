//! The one HTTP client of the tests.

use std::sync::LazyLock;

use reqwest::{Client, StatusCode, Url};

use crate::WITHIN;

/// Connections are not kept: each test has a runtime of its own, and a connection dies with its runtime.
static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(WITHIN)
        .build()
        .unwrap_or_default()
});

/// Asks `url` with `query`; the status and the text of the answer, or why there is none.
///
/// # Errors
///
/// When no answer comes.
pub async fn get(url: &str, query: &[(&str, &str)]) -> Result<(StatusCode, String), String> {
    let url = Url::parse_with_params(url, query).map_err(|error| format!("{url}: {error}"))?;
    let asked = async {
        let answer = CLIENT.get(url).send().await?;
        Ok((answer.status(), answer.text().await?))
    };
    asked.await.map_err(|error: reqwest::Error| format!("{error:?}"))
}
