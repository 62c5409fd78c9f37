//! The faked history keeps what its port promises.

use std::sync::Arc;

use sim::Recent;

#[tokio::test]
async fn conformance() {
    ports::conformance::signals::run(&|| Arc::new(Recent::default())).await;
}
