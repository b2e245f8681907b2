//! A notice as a mail, handed to the mail server that the Secret names.

use gastown_wire::NotifyOrders;
use jiff::{Timestamp, fmt::rfc2822};

use super::{NotifyError, Secret, curl::Config};

pub(super) async fn send(orders: &NotifyOrders) -> Result<(), NotifyError> {
    let secret = Secret::of(orders);
    let server = secret.must("smtp-url")?;
    if !server.starts_with("smtp://") && !server.starts_with("smtps://") {
        let what = "is no address of a mail server: write smtps://host:465 or smtp://host:587";
        return Err(NotifyError::AddressInvalid { key: "smtp-url", what });
    }
    let from = address("email-from", &secret.must("email-from")?)?;
    let to = secret.must("email-to")?;
    let to: Vec<String> = to
        .split(',')
        .map(|to| address("email-to", to))
        .collect::<Result<_, _>>()?;
    let mut config = Config::to(&server);
    config.set("mail-from", &from);
    for to in &to {
        config.set("mail-rcpt", to);
    }
    match (secret.may("smtp-username"), secret.may("smtp-password")) {
        (Some(user), password) => {
            config.set("user", &format!("{user}:{}", password.unwrap_or_default()));
            config.flag("ssl-reqd");
        }
        (None, Some(_)) => return Err(NotifyError::KeyMissing("smtp-username")),
        // A password may be in the address itself.
        (None, None) if server.contains('@') => config.flag("ssl-reqd"),
        (None, None) => config.flag("ssl"),
    }
    config.set("proto", "=smtp,smtps");
    let message = message(orders, &from, &to, Timestamp::now());
    let answer = config.run("upload-file", "", message.as_bytes()).await?;
    match answer.code {
        code @ 500..=599 if answer.exit != 0 && answer.exit != 67 => Err(NotifyError::Refused(format!(
            "the mail server answers {code}: may email-from send there, and does email-to exist?"
        ))),
        code @ 400..=499 if answer.exit != 0 => {
            Err(NotifyError::Unreachable(format!("the mail server answers {code}")))
        }
        _ => answer.fault(),
    }
}

/// A bare address.
fn address(key: &'static str, text: &str) -> Result<String, NotifyError> {
    let text = text.trim();
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '(' | ')' | ',' | ';' | '\\');
    let whole = text
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    match whole && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(NotifyError::AddressInvalid {
            key,
            what: "is no mail address: write name@host",
        }),
    }
}

fn message(orders: &NotifyOrders, from: &str, to: &[String], now: Timestamp) -> String {
    let subject: String = orders
        .subject
        .chars()
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .collect();
    let host = from.rsplit_once('@').map_or("gastown", |(_, host)| host);
    let date = rfc2822::DateTimePrinter::new()
        .timestamp_to_string(&now)
        .map(|date| format!("Date: {date}\r\n"))
        .unwrap_or_default();
    format!(
        "From: Gas Town <{from}>\r\nTo: {}\r\nSubject: {subject}\r\n{date}Message-ID: <{}@{host}>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\
         Auto-Submitted: auto-generated\r\n\r\n{}\r\n",
        to.join(", "),
        orders.id,
        orders.text.lines().collect::<Vec<_>>().join("\r\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_bare() {
        assert_eq!(address("email-to", " a.b+c@example.com ").unwrap(), "a.b+c@example.com");
        for text in ["", "a", "@b", "a@", "a@b@c", "A <a@b>", "a@b\r\nBcc: x@y", "a b@c"] {
            assert!(address("email-to", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_mail_has_all_a_mail_needs_and_no_word_of_it_becomes_a_header() {
        let orders = NotifyOrders {
            id: "work.cv.1".into(),
            subject: "Convoy cv\r\nBcc: x@y".into(),
            text: "one\ntwo é".into(),
            ..NotifyOrders::default()
        };
        let text = message(
            &orders,
            "gt@example.com",
            &["a@b".into(), "c@d".into()],
            Timestamp::UNIX_EPOCH,
        );
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "one\r\ntwo é\r\n");
        let head: Vec<&str> = head.split("\r\n").collect();
        assert!(
            head.contains(&"Subject: Convoy cv??Bcc: x@y") && head.contains(&"To: a@b, c@d"),
            "{head:?}"
        );
        assert!(head.contains(&"Message-ID: <work.cv.1@example.com>"), "{head:?}");
        assert!(
            head.iter().any(|l| l.starts_with("Date: Thu, 1 Jan 1970 00:00:00")),
            "{head:?}"
        );
    }
}
