//! The machine gives the daemon not one more thread: what needs one says so at once, and nothing is guessed.

use std::os::unix::process::CommandExt;
use std::process::Command;

use micropayd::simulator::mood::Mood;
use rustix::process::geteuid;
use serde_json::json;

use crate::gateway::Gateway;
use crate::shop::Shop;

/// Nobody else's: the limit counts all threads of a user, and root has none.
const USER: u32 = 61_234;

/// Sets the soft limit, as the daemon's own user: root needs a capability for it that containers lack.
fn limit(shop: &Shop, threads: &str) {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &shop.id().to_string(), &format!("--nproc={threads}:")]).uid(USER).gid(USER);
    assert!(prlimit.status().expect("util-linux is there").success());
}

#[tokio::test]
async fn without_another_thread_a_sale_is_paid_or_never_sent_and_a_question_is_answered() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can run the daemon as another user");
        return;
    }
    for by_name in [false, true] {
        let mut gateway = Gateway::open().await;
        if by_name {
            gateway.url = gateway.url.replace("127.0.0.1", "localhost");
        }
        let shop = Shop::open_with(&gateway, "", Some(USER)).await;
        let pay = async |reference: &str| {
            let body = json!({"amount": 1250, "reference": reference, "auth_code": gateway.code(Mood::Pay)});
            let paid = shop.ask("POST", "/v1/payments?wait=20", Some(&body)).await;
            assert_eq!(paid.status, 201, "{paid:?}");
            paid.json()
        };
        limit(&shop, "1");
        let sale = pay("without").await;
        if by_name {
            // Its address cannot be asked for: it is said at once that nothing was sent, so nothing is owed.
            assert_eq!((&sale["phase"], &sale["money"]), (&json!("declined"), &json!("none")), "{sale}");
            assert_eq!(sale["attempts"][0]["error_code"], "NEVER_SENT", "{sale}");
        } else {
            assert_eq!(sale["phase"], "paid", "{sale}");
        }
        let unread = shop.ask("GET", "/v1/payments", None).await;
        assert_eq!((unread.status, unread.json()["retry"].as_str()), (503, Some("same_key")), "{unread:?}");
        assert_eq!(shop.ask("GET", "/v1/status", None).await.status, 200);

        limit(&shop, "1000");
        assert_eq!(pay("with").await["phase"], "paid");
        assert_eq!(shop.ask("GET", "/v1/payments", None).await.status, 200);
        assert!(!shop.log().contains("program is at fault"), "{}", shop.log());
    }
}
