//! `elb-doctor explain`: what a check or a reason means, with an example and what to do. A status in a cluster cannot be followed
//! by a link into a repository; the pages are in the program.

mod pages;
mod render;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use anstream::AutoStream;
use anyhow::bail;

use super::terminal::{self, Color};
use crate::{
    manifest::nearest,
    text::{clean, excerpt},
};
use pages::{PAGES, Page, refusals};

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  elb-doctor explain                            # list everything that can be explained
  elb-doctor explain load_balancer_acl_egress   # the id of a check
  elb-doctor explain LoadBalancerACLOutbound    # the reason of a condition or an event
  elb-doctor explain ReferenceNotFound          # why a backend server was not diagnosed")]
pub struct Args {
    /// Id of a check, or the reason of a condition; without it, all of them are listed
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

/// Prints the page, or the list of pages.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = match &args.id {
        None => list(),
        Some(id) => match explanation(id) {
            Some(markdown) => render::render(markdown, terminal::width()),
            None => bail!("{}", unknown(id)),
        },
    };
    let mut out = AutoStream::new(io::stdout().lock(), args.color.into());
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What is known of an id or a reason, however its words are set apart.
fn explanation(id: &str) -> Option<&'static str> {
    let is = |name: &str| same(name, id);
    let page = PAGES.iter().find(|page| is(page.id) || is(page.condition_reason()));
    let page = page.map(|page| page.text);
    page.or_else(|| refusals().find_map(|(reason, text)| is(reason).then_some(text)))
}

fn same(one: &str, other: &str) -> bool {
    let letters = |text: &str| -> String {
        let text = text.trim().trim_end_matches(".md");
        text.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    letters(one).eq_ignore_ascii_case(&letters(other))
}

fn unknown(id: &str) -> String {
    let ids = PAGES.iter().flat_map(|page| [page.id, page.condition_reason()]);
    let names = ids.chain(refusals().map(|(reason, _)| reason));
    let hint = match nearest(id, names) {
        Some(near) => format!("did you mean {near}?"),
        None => "elb-doctor explain lists them all".to_owned(),
    };
    format!("there is no check and no reason {:?}: {hint}", excerpt(&clean(id)))
}

/// Everything that can be explained, a line each.
fn list() -> String {
    let width = PAGES.iter().map(|page| page.id.len()).max().unwrap_or_default();
    let mut out = String::from("Checks:\n");
    for page in PAGES {
        let _ = writeln!(out, "  {:<width$}  {}", page.id, short(page));
    }
    out.push_str("\nWhy a backend server is not diagnosed:\n");
    for (reason, text) in refusals() {
        let first = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
        let _ = writeln!(out, "  {reason:<width$}  {}", render::plain(first.unwrap_or_default()));
    }
    out.push_str("\nelb-doctor explain ID prints the page of one of them.\n");
    out
}

/// What a check looks at, in a few words.
fn short(page: &Page) -> String {
    let category = page.row("category").unwrap_or_default();
    let item = page.row("item").unwrap_or_default();
    let item = item.strip_prefix("The ").unwrap_or(item);
    match item.split_once(" configured for the ") {
        Some((what, place)) => format!("{category}, {place}: {what}"),
        None => item.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_reasons_are_found_however_they_are_written() {
        for (word, heading) in [
            ("check_hc_config_port", "# check_hc_config_port"),
            ("check_hc_config_port.md", "# check_hc_config_port"),
            ("check-hc-config-port", "# check_hc_config_port"),
            ("HealthCheckPort", "# check_hc_config_port"),
            ("healthcheckport", "# check_hc_config_port"),
            ("LoadBalancerACLOutbound", "# load_balancer_acl_egress"),
            ("ReferenceNotFound", "## ReferenceNotFound"),
            ("referencenotfound", "## ReferenceNotFound"),
        ] {
            let text = explanation(word).unwrap_or_default();
            assert_eq!(text.lines().next(), Some(heading), "{word}");
        }
        assert!(explanation("").is_none() && explanation("_").is_none());
    }

    #[test]
    fn what_is_not_known_is_answered_with_the_nearest() {
        assert!(unknown("check_hc_confg_port").ends_with("did you mean check_hc_config_port?"));
        assert!(unknown("ReferencNotFound").ends_with("did you mean ReferenceNotFound?"));
        assert!(unknown("weather").ends_with("elb-doctor explain lists them all"));
    }
}
