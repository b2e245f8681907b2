//! Takes credentials out of text before it reaches an error, a log or a report.

const MASK: &str = "***";

/// Replaces the user information of every URL in `text` (`https://user:pass@host` → `https://***@host`),
/// and every one of `secrets` wherever it stands.
pub(crate) fn redact(text: &str, secrets: &[String]) -> String {
    let mut out = mask_urls(text);
    for secret in secrets {
        if !secret.is_empty() {
            out = out.replace(secret.as_str(), MASK);
        }
    }
    out
}

fn mask_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        // The authority ends at the first of these; a password may itself hold `@`, so the last `@` counts.
        let end = after
            .find(|c: char| c == '/' || c == '?' || c == '#' || c == '\'' || c == '"' || c.is_whitespace())
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(MASK);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::redact;

    #[test]
    fn user_information_goes_and_the_rest_stays() {
        let said = "fatal: unable to access 'https://bot:hunter2@example.com/a.git/': 403, see https://docs.example/x";
        assert_eq!(
            redact(said, &[]),
            "fatal: unable to access 'https://***@example.com/a.git/': 403, see https://docs.example/x"
        );
        assert_eq!(redact("ssh://u:p@@h:22/x", &[]), "ssh://***@h:22/x");
        assert_eq!(
            redact("remote said hunter2!", &["hunter2".to_owned()]),
            "remote said ***!"
        );
    }

    proptest! {
        #[test]
        fn no_password_in_a_url_survives(pre in "[ -~]{0,20}", pass in "[a-zA-Z0-9:@%_.-]{12,20}", post in "( [ -~]{0,20})?") {
            let text = format!("{pre} https://user:{pass}@host.example/path{post}");
            prop_assert!(!redact(&text, &[]).contains(&pass));
        }
    }
}
