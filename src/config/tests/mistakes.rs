//! Every mistake that a file can have, and the exact lines that are said about it.

use super::Bench;

#[test]
fn each_mistake_is_named_with_its_line_and_its_remedy() {
    let mistakes: &[(&str, &str, &str)] = &[
        (
            "id         = \"T01\"",
            "id = \"T 1\"",
            "DIR/c.toml:2: terminal.id \"T 1\" is not usable, expected 1 to 8 of A-Z a-z 0-9\n\
             help: write id = \"T01\"",
        ),
        (
            "id         = \"T01\"\n",
            "",
            "DIR/c.toml:1: terminal.id is missing\n\
             help: write id = \"T01\", another one for each terminal",
        ),
        (
            "store_name =",
            "storename =",
            "DIR/c.toml:1: terminal.store_name is missing\n\
             help: write store_name = \"朝阳门店\", as it stands on receipts\n\
             DIR/c.toml:3: terminal.storename is unknown\n\
             help: write store_name",
        ),
        (
            "\"朝阳门店-消费\"",
            "\"一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十一二三\"",
            "DIR/c.toml:4: terminal.subject has 129 bytes, expected at most 127 (a Chinese character has 3)\n\
             help: write subject = \"朝阳门店-消费\"",
        ),
        (
            "\"zh-CN\"",
            "\"zh_CN\"",
            "DIR/c.toml:6: terminal.language \"zh_CN\" is unknown, expected \"zh-CN\" or \"en\"\n\
             help: write language = \"zh-CN\"",
        ),
        (
            "language   = \"zh-CN\"",
            "language   = zh-CN",
            "DIR/c.toml:6: not TOML: string values must be quoted, expected literal string\n\
             help: write texts in straight quotes: key = \"text\"",
        ),
        (
            "language   = \"zh-CN\"",
            "id = \"T02\"",
            "DIR/c.toml:6: not TOML: duplicate key\n\
             help: remove one of the two",
        ),
        (
            "[[scanner]]",
            "[scanner]",
            "DIR/c.toml:25: scanner is a section, expected a list of sections\n\
             help: write [[scanner]] with two brackets on each side",
        ),
        (
            "path = \"/dev/serial/by-id/usb-x\"",
            "path = \"\"",
            "DIR/c.toml:25: scanner has no path\n\
             help: write the device, as in path = \"/dev/serial/by-id/usb-…\"",
        ),
        (
            "[limits]",
            "[limit]",
            "DIR/c.toml:22: limit is unknown\n\
             help: write limits",
        ),
        (
            "\"5000.00\"",
            "5000",
            "DIR/c.toml:23: limits.max_amount is a whole number, expected a text\n\
             help: write max_amount = \"…\"",
        ),
        (
            "\"5000.00\"",
            "\"5000.005\"",
            "DIR/c.toml:23: limits.max_amount amount \"5000.005\" is not a number of yuan, expected a form like \"12.50\"\n\
             help: write max_amount = \"5000.00\"",
        ),
        (
            "query_after = \"5s\"",
            "query_after = 5",
            "DIR/c.toml:20: policy.query_after is a whole number, expected a span of time in quotes\n\
             help: write query_after = \"5s\"; units are ms, s, m, h, d",
        ),
        (
            "query_after = \"5s\"",
            "query_after = \"5 sec\"",
            "DIR/c.toml:20: policy.query_after \"5 sec\" is not a span of time, expected a form like \"5s\" or \"200ms\"\n\
             help: write query_after = \"5s\"; units are ms, s, m, h, d",
        ),
        (
            "query_after = \"5s\"",
            "reverse_after = \"5s\"",
            "DIR/c.toml:20: policy.reverse_after is 5s, expected at least 15s (WeChat Pay APIv2, reverse page)\n\
             help: write reverse_after = \"15s\"; only a gateway on loopback may be hurried",
        ),
        (
            "query_after = \"5s\"",
            "query_after = \"50s\"",
            "DIR/c.toml:20: policy.query_after is 50s, expected at most give_up_after (45s)\n\
             help: write query_after = \"5s\"",
        ),
        (
            "query_after = \"5s\"",
            "reverse_every = \"6m\"",
            "DIR/c.toml:20: policy.reverse_every is 6m, expected at most its longest (5m)\n\
             help: write reverse_every = \"5s\"",
        ),
        (
            "connect_timeout = \"3s\"",
            "connect_timeout = \"10s\"",
            "DIR/c.toml:16: wechat.connect_timeout contradicts the other: connect_timeout is 10s, request_timeout is \
             10s, expected connect_timeout < request_timeout\n\
             help: give the connection a part of the whole call, like 3s of 10s",
        ),
        (
            "\"https://api2.mch.weixin.qq.com/\"",
            "\"http://api2.mch.weixin.qq.com\"",
            "DIR/c.toml:15: wechat.base_urls \"http://api2.mch.weixin.qq.com\" is not encrypted, expected https:// \
             (http:// only for loopback)\n\
             help: write https://",
        ),
        (
            "\"https://api2.mch.weixin.qq.com/\"",
            "\"https://api2.mch.weixin.qq.com/pay/micropay\"",
            "DIR/c.toml:15: wechat.base_urls \"https://api2.mch.weixin.qq.com/pay/micropay\" has a path in it, \
             expected only scheme and host\n\
             help: write \"https://api.mch.weixin.qq.com\"",
        ),
        (
            "DIR/key",
            "DIR/nokey",
            "DIR/c.toml:12: wechat.api_key_file DIR/nokey cannot be read: No such file or directory (os error 2)\n\
             help: put the file at DIR/nokey, or name the right one",
        ),
        (
            "api_key_file     = \"DIR/key\"\n",
            "",
            "DIR/c.toml:8: wechat.api_key_file is missing\n\
             help: write api_key_file = \"/etc/micropayd/wechat-api-key\", or give systemd the credential \
             wechat-api-key",
        ),
        (
            "api_key_file     = \"DIR/key\"",
            "api_key = \"8934e7d15453e97507ef794cf7b0519d\"",
            "DIR/c.toml:8: wechat.api_key_file is missing\n\
             help: write api_key_file = \"/etc/micropayd/wechat-api-key\", or give systemd the credential \
             wechat-api-key\n\
             DIR/c.toml:12: wechat.api_key is unknown\n\
             help: write api_key_file",
        ),
        (
            "client_key_file  = \"DIR/cert.key\"\n",
            "",
            "DIR/c.toml:13: wechat.client_cert_file has no client_key_file beside it\n\
             help: write client_key_file = \"…\"",
        ),
        (
            "\"127.0.0.1:7780\"",
            "\"0.0.0.0:7780\"",
            "DIR/c.toml:34: api.listen is 0.0.0.0:7780, beyond loopback, expected tls_cert_file as well\n\
             help: write tls_cert_file = \"…\", or listen on 127.0.0.1\n\
             DIR/c.toml:34: api.listen is 0.0.0.0:7780, beyond loopback, expected tls_key_file as well\n\
             help: write tls_key_file = \"…\", or listen on 127.0.0.1\n\
             DIR/c.toml:34: api.listen is 0.0.0.0:7780, beyond loopback, expected tokens as well\n\
             help: write tokens = [\"…\"], one for each POS, or listen on 127.0.0.1",
        ),
        (
            "\"127.0.0.1:7780\"",
            "\":7780\"",
            "DIR/c.toml:34: api.listen \":7780\" is not an address and port, expected a form like \"127.0.0.1:7780\"\n\
             help: write listen = \"127.0.0.1:7780\"",
        ),
        (
            "[printer]\nkind = \"none\"",
            "[printer]\nkind = \"usb\"",
            "DIR/c.toml:31: printer.kind \"usb\" is unknown, expected \"usblp\", \"serial\", \"network\", \"file\" or \
             \"none\"\n\
             help: write kind = \"usblp\"",
        ),
    ];
    for (from, to, expected) in mistakes {
        let bench = Bench::new();
        bench.edit(&[(from, to)]);
        assert_eq!(bench.said(), *expected, "for {to}");
        assert!(bench.load().is_err(), "for {to}");
    }
}
