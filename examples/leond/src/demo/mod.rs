//! demo
pub(crate) fn run(_: &crate::cli::DemoArgs) -> anyhow::Result<()> {
    todo!()
}
