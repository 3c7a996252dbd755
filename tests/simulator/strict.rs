//! What the real gateway refuses, this one refuses too.

use micropayd::simulator::Settings;
use micropayd::simulator::mood::Mood;

use crate::rig::{Rig, fields, md5, read, xml};

const N: &str = "T0126112100000101";

#[tokio::test]
async fn a_wrong_signature_is_refused_without_a_signature() {
    let rig = Rig::plain().await;
    let mut request = rig.micropay(N, 1250, &rig.simulator.new_code(Mood::Pay));
    for sign in [
        "00000000000000000000000000000000".to_owned(),
        md5(&request, "another key"),
        md5(&request, &rig.at.api_key).to_lowercase(),
    ] {
        request.insert("sign".to_owned(), sign);
        let got = rig.send("POST", "/pay/micropay", xml(&request).as_bytes()).await.unwrap();
        let answer = read(&String::from_utf8(got.body).unwrap());
        assert_eq!(answer, fields(&[("return_code", "FAIL"), ("return_msg", "签名错误")]));
    }
    assert_eq!(rig.out_of_pocket(), 0);
}

#[tokio::test]
async fn each_type_is_answered_in_kind() {
    let rig = Rig::plain().await;
    let mut request = rig.micropay(N, 1250, &rig.simulator.new_code(Mood::Pay));
    request.insert("sign_type".to_owned(), "HMAC-SHA256".to_owned());
    request.insert("sign".to_owned(), md5(&request, &rig.at.api_key));
    let got = rig.send("POST", "/pay/micropay", xml(&request).as_bytes()).await.unwrap();
    assert_eq!(
        read(&String::from_utf8(got.body).unwrap())["return_msg"],
        "签名错误",
        "MD5 under the name of HMAC"
    );

    request.insert("sign".to_owned(), hmac(&request, &rig.at.api_key));
    let got = rig.send("POST", "/pay/micropay", xml(&request).as_bytes()).await.unwrap();
    let answer = read(&String::from_utf8(got.body).unwrap());
    assert_eq!(answer["result_code"], "SUCCESS");
    assert_eq!(answer["sign"], hmac(&answer, &rig.at.api_key));
    assert!(!answer.contains_key("sign_type"), "answers do not name their type");
}

/// RFC 2104 over the published text, written out.
fn hmac(fields: &crate::rig::Fields, key: &str) -> String {
    use sha2::{Digest, Sha256};
    let signed = fields.iter().filter(|(name, value)| *name != "sign" && !value.is_empty());
    let text: String = signed.map(|(name, value)| format!("{name}={value}&")).collect();
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key.bytes()).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(format!("{text}key={key}")).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[tokio::test]
async fn strangers_and_superfluous_or_missing_fields_are_refused() {
    let rig = Rig::plain().await;
    let code = rig.simulator.new_code(Mood::Pay);
    for (name, value, return_msg) in [
        ("notify_url", "http://example.com/", "不识别的参数notify_url"),
        ("trade_type", "MICROPAY", "不识别的参数trade_type"),
        ("body", "", "缺少参数:body"),
        ("auth_code", "", "缺少参数:auth_code"),
        ("mch_id", "1900000110", "商户号mch_id或sub_mch_id不存在"),
        ("appid", "wx0000000000000000", "商户号mch_id与appid不匹配"),
    ] {
        let mut request = rig.micropay(N, 1250, &code);
        request.insert(name.to_owned(), value.to_owned());
        let answer = rig.ask("/pay/micropay", request).await;
        assert_eq!((answer["return_code"].as_str(), answer["return_msg"].as_str()), ("FAIL", return_msg));
    }
    let mut request = rig.about(N);
    request.insert("notify_url".to_owned(), "http://example.com/".to_owned());
    assert_eq!(rig.ask("/secapi/pay/reverse", request).await["return_msg"], "不识别的参数notify_url");
    assert_eq!(rig.pay(N, 1250, &code).await["result_code"], "SUCCESS", "the code is still fresh");
}

#[tokio::test]
async fn malformed_values_are_parameter_errors_and_signed() {
    let rig = Rig::plain().await;
    let code = rig.simulator.new_code(Mood::Pay);
    for (name, value) in [
        ("total_fee", "0"),
        ("total_fee", "12.5"),
        ("out_trade_no", "short"),
        ("auth_code", "284500001234568406"),
        ("spbill_create_ip", "here"),
        ("body", &"长".repeat(43)),
    ] {
        let mut request = rig.micropay(N, 1250, &code);
        request.insert(name.to_owned(), value.to_owned());
        let answer = rig.ask("/pay/micropay", request).await;
        assert_eq!(
            (answer["return_code"].as_str(), answer["err_code"].as_str()),
            ("SUCCESS", "PARAM_ERROR"),
            "{name}"
        );
    }
    let request = rig.common().into_iter().chain(fields(&[("transaction_id", "1")])).collect();
    assert_eq!(rig.ask("/pay/orderquery", request).await["err_code_des"], "微信订单号非法");
}

#[tokio::test]
async fn what_is_not_a_message_is_refused() {
    let rig = Rig::plain().await;
    for body in
        [&b""[..], b"{}", b"a=1&b=2", b"<xml><a>1</a>", b"<xml><a>\xff</a></xml>", b"<!DOCTYPE x><xml></xml>"]
    {
        let got = rig.send("POST", "/pay/orderquery", body).await.unwrap();
        let answer = read(&String::from_utf8(got.body).unwrap());
        assert_eq!(answer["return_code"], "FAIL", "{body:?}");
        assert!(answer["return_msg"].starts_with("XML格式错误"), "{answer:?}");
    }
    let got = rig.send("GET", "/pay/micropay", b"").await.unwrap();
    assert_eq!(read(&String::from_utf8(got.body).unwrap())["return_msg"], "请使用post方法");
    assert_eq!(rig.send("POST", "/pay/unifiedorder", b"<xml></xml>").await.unwrap().status, 404);
    assert_eq!(rig.send("POST", "/pay/micropay", &[b' '; 70_000]).await.unwrap().status, 413);
}

#[tokio::test]
async fn over_tls_reversals_and_refunds_need_the_merchants_own_certificate() {
    let mut rig = Rig::start(Settings { tls: true, ..Settings::default() }).await;
    assert!(rig.at.base_url.starts_with("https://127.0.0.1:"));
    rig.pay(N, 1250, &rig.simulator.new_code(Mood::Pay)).await;
    let ours = rig.certificate.take();
    assert_eq!(rig.state(N).await, "SUCCESS", "a query needs none");
    for path in ["/secapi/pay/reverse", "/secapi/pay/refund"] {
        let got = rig.send("POST", path, b"<xml></xml>").await.unwrap();
        let page = String::from_utf8(got.body).unwrap();
        assert_eq!(got.status, 400);
        assert!(page.contains("400 No required SSL certificate was sent"), "{page}");
    }
    // Another simulator's certificate is good, but not here.
    let stranger = Rig::start(Settings { tls: true, ..Settings::default() }).await;
    rig.certificate = stranger.certificate.clone();
    let got = rig.send("POST", "/secapi/pay/reverse", b"<xml></xml>").await.unwrap();
    assert!(String::from_utf8(got.body).unwrap().contains("400 The SSL certificate error"));
    assert_eq!(rig.out_of_pocket(), 1250);

    rig.certificate = ours;
    assert_eq!(rig.reverse(N).await["result_code"], "SUCCESS");
    assert_eq!(rig.out_of_pocket(), 0);
}

#[tokio::test]
async fn the_certificate_comes_in_all_its_forms_and_goes_with_the_simulator() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::start(Settings { tls: true, ..Settings::default() }).await;
    let key = std::fs::metadata(&rig.at.client_key_file).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let p12 = std::path::Path::new(&rig.at.client_cert_file).with_file_name("apiclient_cert.p12");
    let store = p12_keystore::KeyStore::from_pkcs12(
        &std::fs::read(p12).unwrap(),
        &rig.at.mch_id,
        p12_keystore::Pkcs12ImportPolicy::Strict,
    );
    assert_eq!(store.unwrap().private_key_chain().unwrap().1.certs().len(), 1);
    let line = serde_json::to_value(&rig.at).unwrap();
    let names: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["api_key", "app_id", "base_url", "ca_file", "client_cert_file", "client_key_file", "mch_id"]
    );
    assert_eq!(rig.at.api_key.len(), 32);
    let dir = std::path::Path::new(&rig.at.ca_file).parent().unwrap().to_owned();
    drop(rig);
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_service_provider_gets_its_fields_back() {
    let rig = Rig::plain().await;
    let mut request = rig.micropay(N, 1250, &rig.simulator.new_code(Mood::Pay));
    request.extend(fields(&[
        ("sub_mch_id", "1900000200"),
        ("sub_appid", "wx1"),
        ("device_info", "T01"),
        ("attach", "a&b"),
    ]));
    let answer = rig.ask("/pay/micropay", request).await;
    let of = ["sub_mch_id", "sub_appid", "device_info", "attach"].map(|name| answer[name].as_str());
    assert_eq!(of, ["1900000200", "wx1", "T01", "a&b"]);
    assert!(answer.contains_key("sub_openid"));
}
