//! Who may ask: this machine's own names, own pages and programs; elsewhere with a token.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::middleware::from_fn;
use tower::ServiceExt;
use zeroize::Zeroizing;

use super::shop::Till;
use crate::api::guard::Guard;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// SHA-256 of [`TOKEN`], by coreutils' sha256sum.
const DIGEST: &str = "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9";

fn guarded(till: &Till, guard: Guard) -> Router {
    till.router.clone().layer(from_fn(move |request, next| guard.clone().pass(request, next)))
}

async fn ask(router: &Router, method: Method, uri: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    for name in ["content-security-policy", "x-content-type-options"] {
        assert!(
            response.status() == 403 || response.status() == 401 || response.headers().contains_key(name)
        );
    }
    assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
    response.status().as_u16()
}

#[tokio::test]
async fn a_name_that_was_bound_to_our_address_is_refused() {
    let till = Till::open();
    let router = guarded(&till, Guard::loopback(vec!["till3.shop".to_owned()]));
    for (host, status) in [
        ("127.0.0.1:7780", 200),
        ("127.8.8.8", 200),
        ("[::1]:7780", 200),
        ("LocalHost:1", 200),
        ("till3.shop:7780", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:7780", 403),
        ("192.168.1.5:7780", 403),
        ("user@127.0.0.1", 403),
        ("127.0.0.1:7780, evil.example", 403),
        ("", 403),
    ] {
        assert_eq!(ask(&router, Method::GET, "/v1/status", &[("host", host)]).await, status, "{host}");
    }
    assert_eq!(ask(&router, Method::GET, "/v1/status", &[]).await, 403);
    let two = [("host", "localhost"), ("host", "evil.example")];
    assert_eq!(ask(&router, Method::GET, "/v1/status", &two).await, 403);
    let target = "http://evil.example/v1/status";
    assert_eq!(ask(&router, Method::GET, target, &[("host", "localhost")]).await, 403);
    // A program on a Unix socket may call the host what it likes; a browser cannot get there.
    assert_eq!(ask(&guarded(&till, Guard::unix()), Method::GET, "/v1/status", &[]).await, 200);
}

#[tokio::test]
async fn another_sites_page_can_neither_ask_nor_listen() {
    let till = Till::open();
    let router = guarded(&till, Guard::loopback(Vec::new()));
    let host = ("host", "127.0.0.1:7780");
    for (method, uri, header, status) in [
        (Method::POST, "/v1/drawer", ("origin", "http://127.0.0.1:7780"), 204),
        (Method::POST, "/v1/drawer", ("origin", "http://127.0.0.1:8000"), 403),
        (Method::POST, "/v1/drawer", ("origin", "http://localhost:7780"), 403),
        (Method::POST, "/v1/drawer", ("origin", "https://evil.example"), 403),
        (Method::POST, "/v1/drawer", ("origin", "null"), 403),
        (Method::GET, "/v1/status", ("origin", "https://evil.example"), 403),
        (Method::POST, "/v1/drawer", ("sec-fetch-site", "same-site"), 403),
        (Method::GET, "/v1/status", ("sec-fetch-site", "cross-site"), 403),
        (Method::GET, "/v1/status", ("sec-fetch-site", "same-origin"), 200),
        (Method::GET, "/v1/status", ("sec-fetch-site", "none"), 200),
    ] {
        let got = ask(&router, method.clone(), uri, &[host, header]).await;
        assert_eq!(got, status, "{method} {uri} {header:?}");
    }
    let link = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(ask(&router, Method::GET, "/v1/status", &link).await, 200);
    assert_eq!(ask(&router, Method::POST, "/v1/drawer", &link).await, 403);
}

#[tokio::test]
async fn beyond_loopback_a_token_is_required() {
    let till = Till::open();
    let tokens = [Zeroizing::new("x".repeat(32)), Zeroizing::new(TOKEN.to_owned())];
    let router = guarded(&till, Guard::network(Vec::new(), &tokens));
    let host = ("host", "192.168.1.5:7780");
    let bearer = format!("Bearer {TOKEN}");
    let cookie = format!("a=b; __Host-micropayd={DIGEST}");
    for (header, status) in [
        (("x-nothing", ""), 401),
        (("authorization", bearer.as_str()), 200),
        (("authorization", "Bearer 0123456789abcdef0123456789abcdee"), 401),
        (("authorization", "Bearer "), 401),
        (("authorization", TOKEN), 401),
        (("cookie", cookie.as_str()), 200),
        (("cookie", "__Host-micropayd="), 401),
        (("cookie", "__Host-micropayd=6€"), 401),
        (("cookie", cookie.trim_end_matches('9')), 401),
    ] {
        assert_eq!(ask(&router, Method::GET, "/v1/status", &[host, header]).await, status, "{header:?}");
        assert_eq!(ask(&router, Method::GET, "/metrics", &[host, header]).await, status, "{header:?}");
    }
    assert_eq!(ask(&router, Method::GET, "/healthz", &[host]).await, 200);
    let named = [("host", "evil.example"), ("authorization", bearer.as_str())];
    assert_eq!(ask(&router, Method::GET, "/v1/status", &named).await, 403);

    let session = |token: &str| {
        let request =
            Request::post("/v1/session").header(host.0, host.1).header("content-type", "application/json");
        let body = Body::from(format!(r#"{{"token": "{token}"}}"#));
        router.clone().oneshot(request.body(body).unwrap())
    };
    assert_eq!(session("guess").await.unwrap().status(), 401);
    let welcome = session(TOKEN).await.unwrap();
    let cookie = welcome.headers()["set-cookie"].to_str().unwrap();
    let attributes = "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=31536000";
    assert_eq!(cookie, format!("__Host-micropayd={DIGEST}; {attributes}"));
}
