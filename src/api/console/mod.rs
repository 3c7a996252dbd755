//! The cashier's page and the manager's page: static files in the program, which ask the API like any other client.

use axum::Router;
use axum::http::header;
use axum::routing::get;

const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("index.html")),
    ("/log", HTML, include_str!("log.html")),
    ("/console/style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("/console/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/console/common.js", SCRIPT, include_str!("common.js")),
    ("/console/sound.js", SCRIPT, include_str!("sound.js")),
    ("/console/till.js", SCRIPT, include_str!("till.js")),
    ("/console/log.js", SCRIPT, include_str!("log.js")),
    ("/console/refund.js", SCRIPT, include_str!("refund.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The pages.
pub(crate) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, &(path, media, text)| {
        router.route(path, get(async move || ([(header::CONTENT_TYPE, media)], text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_to_the_content_policy_and_never_write_markup() {
        for (path, media, text) in FILES {
            for unsafe_way in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "DOMParser",
            ] {
                assert!(!text.contains(unsafe_way), "{path} uses {unsafe_way}");
            }
            if *media == HTML {
                let scripts = text.matches("<script").count();
                assert_eq!(
                    scripts,
                    text.matches("<script type=\"module\" src=\"/console/").count(),
                    "{path}"
                );
                assert!(!text.contains("style=") && !text.contains(" on"), "{path} has something inline");
            }
            let outside = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("http:") && !outside.contains("https:"), "{path} asks somebody else");
        }
    }

    #[test]
    fn every_word_that_a_page_asks_for_is_there_in_both_languages() {
        let common = FILES.iter().find(|(path, ..)| path.ends_with("common.js")).unwrap().2;
        let known = |word: &str| {
            let line = common.lines().find(|line| line.trim_start().starts_with(&format!("{word}: [\"")));
            line.is_some_and(|line| line.matches("\", \"").count() == 1)
        };
        for (path, _, text) in FILES {
            let asked = ["data-t=\"", "data-label=\"", " t(\"", "(t(\"", "{t(\""]
                .into_iter()
                .flat_map(|before| text.match_indices(before).map(move |(at, _)| &text[at + before.len()..]));
            for rest in asked {
                let word = rest.split('"').next().unwrap();
                assert!(known(word), "{path} asks for {word:?}");
            }
        }
        for phase in crate::payment::SalePhase::ALL {
            assert!(known(phase.label()), "{}", phase.label());
        }
        for state in crate::sale::ReceiptState::ALL {
            let word = format!("receipt_{}", state.label());
            assert!(known(&word), "{word}");
        }
        for phase in ["asking", "accepted", "stuck", "returned", "refused", "closed"] {
            serde_json::from_value::<crate::api::view::RefundPhase>(phase.into()).unwrap();
            assert!(known(&format!("refund_{phase}")), "{phase}");
        }
        for kind in ["query", "reversal", "refund", "receipt"] {
            serde_json::from_value::<crate::api::till::OpenKind>(kind.into()).unwrap();
            assert!(known(&format!("kind_{kind}")), "{kind}");
        }
        for code in ["refund_too_much", "refund_limit"] {
            assert!(known(code) && crate::api::problem::ALL.iter().any(|kind| kind.code == code), "{code}");
        }
    }
}
