//! What a shop may change about its receipts: header, footer, logo, which fields, language. A pure value; it can be wrong
//! only when it is read, never when a receipt is printed.

use super::bitmap::Bitmap;
use super::text::clean;

/// What a shop wants on its receipts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    /// The language of everything that the program writes.
    pub language: Language,
    /// Lines under the shop's name.
    pub header: Vec<String>,
    /// Lines at the end.
    pub footer: Vec<String>,
    /// What is printed between them, in this order.
    pub fields: Vec<Field>,
    /// How the order number is printed for scanners.
    pub code: Code,
    /// A picture at the head.
    pub logo: Option<Bitmap>,
}

/// The language of labels and marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// Chinese.
    Zh,
    /// English.
    En,
    /// Chinese, then English.
    Both,
}

/// How the order number is printed for scanners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// Code 128 where the paper is wide enough, else QR.
    Auto,
    /// Code 128; nothing where it does not fit.
    Barcode,
    /// A QR code.
    Qr,
    /// Not at all.
    None,
}

/// A part of the receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// The shop's name, large.
    Store,
    /// The lines under the shop's name.
    Header,
    /// What this paper is.
    Title,
    /// A line across.
    Rule,
    /// The terminal.
    Terminal,
    /// When it was paid.
    Time,
    /// What was bought.
    Subject,
    /// The shop's own reference.
    Reference,
    /// The price, large.
    Amount,
    /// What coupons gave and what the payer gave, where they differ from the price.
    Coupon,
    /// The wallet.
    Wallet,
    /// The merchant order number.
    Order,
    /// The gateway's number.
    GatewayNumber,
    /// The order number for scanners.
    Code,
    /// The lines at the end.
    Footer,
}

const FIELDS: [(&str, Field); 15] = [
    ("store", Field::Store),
    ("header", Field::Header),
    ("title", Field::Title),
    ("rule", Field::Rule),
    ("terminal", Field::Terminal),
    ("time", Field::Time),
    ("subject", Field::Subject),
    ("reference", Field::Reference),
    ("amount", Field::Amount),
    ("coupon", Field::Coupon),
    ("wallet", Field::Wallet),
    ("order", Field::Order),
    ("gateway_number", Field::GatewayNumber),
    ("code", Field::Code),
    ("footer", Field::Footer),
];

/// Without these a paper is not a receipt.
const REQUIRED: [(&str, Field); 3] =
    [("time", Field::Time), ("amount", Field::Amount), ("order", Field::Order)];

/// A roll is 30–80 m; these bounds keep a mistake in the template from using it up.
const LINES_MAX: usize = 12;
const LINE_CHARS_MAX: usize = 200;
const FIELDS_MAX: usize = 40;

impl Default for Template {
    fn default() -> Self {
        use Field::*;
        Self {
            language: Language::Both,
            header: Vec::new(),
            footer: vec!["谢谢惠顾 Thank you".to_owned()],
            fields: vec![
                Store,
                Header,
                Title,
                Rule,
                Terminal,
                Time,
                Subject,
                Reference,
                Wallet,
                Rule,
                Amount,
                Coupon,
                Rule,
                Order,
                GatewayNumber,
                Code,
                Footer,
            ],
            code: self::Code::Auto,
            logo: None,
        }
    }
}

/// A template as it stands in its file: the logo is still a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Everything but the logo.
    pub template: Template,
    /// The logo's file, as written.
    pub logo: Option<String>,
}

impl Written {
    /// Reads a template file (TOML). What is left out is as in [`Template::default`].
    ///
    /// # Errors
    /// A sentence that names the key, what was expected and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| format!("not TOML: {error}"))?;
        let mut template = Template::default();
        let mut logo = None;
        for (key, value) in &table {
            match key.as_str() {
                "language" => {
                    template.language = choice(
                        key,
                        value,
                        &[("zh", Language::Zh), ("en", Language::En), ("both", Language::Both)],
                    )?;
                }
                "code" => {
                    template.code = choice(
                        key,
                        value,
                        &[
                            ("auto", Code::Auto),
                            ("barcode", Code::Barcode),
                            ("qr", Code::Qr),
                            ("none", Code::None),
                        ],
                    )?;
                }
                "header" => template.header = lines(key, value)?,
                "footer" => template.footer = lines(key, value)?,
                "fields" => template.fields = fields(key, value)?,
                "logo" => logo = Some(string(key, value)?.to_owned()),
                _ => {
                    return Err(format!(
                        "unknown key {key:?}\nhelp: use one of language, code, header, footer, fields, logo"
                    ));
                }
            }
        }
        Ok(Self { template, logo })
    }
}

fn string<'a>(key: &str, value: &'a toml::Value) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("{key} is a {}, expected a text in quotes", value.type_str()))
}

fn list<'a>(key: &str, value: &'a toml::Value) -> Result<Vec<&'a str>, String> {
    let values = value
        .as_array()
        .ok_or_else(|| format!("{key} is a {}, expected a list like [\"…\", \"…\"]", value.type_str()))?;
    values.iter().map(|value| string(key, value)).collect()
}

fn choice<T: Clone>(key: &str, value: &toml::Value, choices: &[(&str, T)]) -> Result<T, String> {
    let text = string(key, value)?;
    if let Some((_, found)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(found.clone());
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    Err(format!("{key} is {text:?}, expected one of {}", names.join(", ")))
}

fn lines(key: &str, value: &toml::Value) -> Result<Vec<String>, String> {
    let lines = list(key, value)?;
    if lines.len() > LINES_MAX {
        return Err(format!("{key} has {} lines, expected at most {LINES_MAX}", lines.len()));
    }
    for line in &lines {
        let length = line.chars().count();
        if length > LINE_CHARS_MAX {
            return Err(format!(
                "a line of {key} has {length} characters, expected at most {LINE_CHARS_MAX}"
            ));
        }
        if clean(line) != line.replace('¥', "￥") {
            return Err(format!(
                "a line of {key} holds a character that cannot be printed: {line:?}\nhelp: write each line as its own entry, without control characters"
            ));
        }
    }
    Ok(lines.into_iter().map(str::to_owned).collect())
}

fn fields(key: &str, value: &toml::Value) -> Result<Vec<Field>, String> {
    let names = list(key, value)?;
    if names.len() > FIELDS_MAX {
        return Err(format!("{key} has {} entries, expected at most {FIELDS_MAX}", names.len()));
    }
    let mut fields = Vec::new();
    for name in names {
        let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = FIELDS.iter().map(|(known, _)| *known).collect();
            return Err(format!("unknown field {name:?} in {key}\nhelp: use {}", known.join(", ")));
        };
        if *field != Field::Rule && fields.contains(field) {
            return Err(format!("field {name:?} stands twice in {key}\nhelp: leave one of them out"));
        }
        fields.push(*field);
    }
    for (name, field) in REQUIRED {
        if !fields.contains(&field) {
            return Err(format!(
                "{key} lacks {name:?}, without which a paper is no receipt\nhelp: add {name:?}"
            ));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_template_is_the_built_in_one() {
        let shipped = include_str!("../../hardware/receipt.toml");
        let written = Written::parse(shipped).unwrap();
        assert_eq!(written, Written { template: Template::default(), logo: None });
        for (name, _) in FIELDS {
            assert!(shipped.contains(&format!("\"{name}\"")), "{name} is explained");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, expected) in [
            ("langage = \"zh\"", "unknown key \"langage\""),
            ("language = \"fr\"", "expected one of zh, en, both"),
            ("language = 3", "expected a text"),
            ("header = \"one\"", "expected a list"),
            ("footer = [\"a\\u001bb\"]", "cannot be printed"),
            ("fields = [\"time\", \"order\"]", "lacks \"amount\""),
            ("fields = [\"time\", \"order\", \"amount\", \"amount\"]", "twice"),
            ("fields = [\"prices\"]", "unknown field \"prices\""),
            ("language = ", "not TOML"),
        ] {
            let error = Written::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let long = format!("header = [{}]", "\"x\",".repeat(13));
        assert!(Written::parse(&long).unwrap_err().contains("at most 12"));
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let written = Written::parse("footer = [\"电话 010\", \"￥ ¥\"]\nlogo = \"a.png\"").unwrap();
        assert_eq!(written.template.footer.len(), 2);
        assert_eq!(written.template.fields, Template::default().fields);
        assert_eq!(written.logo.as_deref(), Some("a.png"));
    }
}
