//! `kubectl gt`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    kubectl_gt::main().await
}
