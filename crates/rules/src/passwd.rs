//! A name for the user of a pod: ssh works for nobody who has none.

use gastown_api::{PodTemplate, labels};

/// The user that our images know.
const IMAGES_OWN: i64 = 65532;

/// The annotation that becomes the pod's passwd file, where its user is one that no image of ours knows. A user that
/// the cluster picks (OpenShift) is given a name by its own runtime.
pub(crate) fn annotation(one_machine: bool, template: Option<&PodTemplate>) -> Option<(String, String)> {
    let user = template?
        .run_as_user
        .filter(|user| *user != IMAGES_OWN && !one_machine)?;
    let file =
        format!("root:x:0:0:root:/root:/sbin/nologin\ngastown:x:{user}:{user}:Gas Town:/gastown/home:/sbin/nologin\n");
    Some((labels::PASSWD.to_owned(), file))
}

#[cfg(test)]
mod tests {
    use super::{PodTemplate, annotation};

    #[test]
    fn who_is_given_a_name() {
        let of = |user| PodTemplate {
            run_as_user: user,
            ..PodTemplate::default()
        };
        let (_, file) = annotation(false, Some(&of(Some(1_000_660_000)))).unwrap();
        assert!(file.lines().any(|l| l.starts_with("gastown:x:1000660000:")), "{file}");
        assert_eq!(annotation(false, Some(&of(Some(65532)))), None);
        assert_eq!(annotation(false, Some(&of(None))), None);
        assert_eq!(annotation(false, None), None);
        assert_eq!(annotation(true, Some(&of(Some(7)))), None);
    }
}
