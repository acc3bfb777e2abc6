//! placeholder
/// x
pub fn run(_: crate::cli::DemoFlags, _: impl std::io::Write) -> anyhow::Result<()> { Ok(()) }
